"""The targets of the serving API, and whether a run met them: the verdicts are computed from the figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.contender import API, CONSTANT
from benchmarks.groups.batch import Batch
from benchmarks.groups.overload import NORMAL_P95_MS, Overload
from benchmarks.groups.single import STEADY_RATE, Single
from benchmarks.groups.start import LOCAL, REGISTRY, Start
from benchmarks.results import Results

MLFLOW: Final = "mlflow models serve"
SERVERS: Final = ("BentoML", "MLServer", "LitServe")
ALLOWED_IN_OVERLOAD: Final = frozenset({200, 429, 503})

MLFLOW_RATIO: Final = 40
SERVERS_RATIO: Final = 25
CONSTANT_RATIO: Final = 0.7
STEADY_P95_MS: Final = 10
BATCH_RATE: Final = 100_000
BATCH_RATIO: Final = 1.5
BATCH_P95_MS: Final = 25
LOCAL_SECONDS: Final = 2
REGISTRY_SECONDS: Final = 5
RSS_MIB: Final = 300
OVERLOAD_P95_MS: Final = 250
RECOVERY_SECONDS: Final = 5


@dataclass(frozen=True, kw_only=True)
class Check:
    """One target and its verdict; ``passed`` is None if the run cannot tell."""

    promise: str
    measured: str
    passed: bool | None


def checks(results: Results) -> list[Check]:
    """Check every target of the measured groups."""
    outcomes: list[Check] = []
    if results.single:
        outcomes += _single(results.single)
    if results.batch:
        outcomes += _batch(results.batch)
    if results.start:
        outcomes += _start(results.start)
    if results.overload:
        outcomes += _overload(results.overload)
    return outcomes


def best(rates: dict[str, float], names: Sequence[str]) -> str | None:
    """The one of ``names`` with the highest rate; None if none was measured."""
    measured = [name for name in names if name in rates]
    return max(measured, key=rates.__getitem__, default=None)


def _ratio(promise: str, bound: float, rates: dict[str, float], other: str | None) -> Check:
    if other is None or other not in rates:
        return Check(promise=promise, measured="not measured", passed=None)
    ratio = rates[API] / rates[other]
    return Check(promise=promise, measured=f"{ratio:.2f} x {other}", passed=ratio >= bound)


def _single(single: Single) -> Iterator[Check]:
    rates = {row.name: row.rate for row in single.rows}
    yield _ratio(f"predictions/s ≥ {MLFLOW_RATIO} x `mlflow models serve`", MLFLOW_RATIO, rates, MLFLOW)
    best_server = best(rates, SERVERS)
    yield _ratio(f"≥ {SERVERS_RATIO} x the best of {', '.join(SERVERS)}", SERVERS_RATIO, rates, best_server)
    yield _ratio(f"≥ {CONSTANT_RATIO} x FastAPI with a constant answer (aim 1.0)", CONSTANT_RATIO, rates, CONSTANT)
    variants = [name for name in rates if name.startswith(tuple(f"{server}, " for server in SERVERS))]
    if fastest := best(rates, variants):
        extra = _ratio("no target: beside those with their own batching of requests on", 0, rates, fastest)
        yield replace(extra, passed=None)
    steady = single.steady
    yield Check(
        promise=f"p95 < {STEADY_P95_MS} ms at {STEADY_RATE} requests/s",
        measured=f"{steady.p95_ms:.2f} ms",
        passed=steady.p95_ms < STEADY_P95_MS,
    )
    yield Check(
        promise=f"0 errors at {STEADY_RATE} requests/s over {steady.seconds:g} s",
        measured=f"{steady.failures} of {steady.sent:,}",
        passed=steady.failures == 0,
    )
    ours = next(row for row in single.rows if row.name == API)
    yield Check(promise="0 errors in the closed loop", measured=str(ours.failures), passed=ours.failures == 0)


def _batch(batch: Batch) -> Iterator[Check]:
    rates = {row.name: row.rate for row in batch.rows}
    ours = next(row for row in batch.rows if row.name == API)
    yield Check(
        promise=f"batches of 1,000: ≥ {BATCH_RATE:,} rows/s",
        measured=f"{ours.rate:,.0f}",
        passed=ours.rate >= BATCH_RATE,
    )
    best_peer = best(rates, (MLFLOW, *SERVERS))
    yield _ratio(f"batches: ≥ {BATCH_RATIO} x the best peer", BATCH_RATIO, rates, best_peer)
    yield Check(
        promise=f"batches: p95 < {BATCH_P95_MS} ms", measured=f"{ours.p95:.1f} ms", passed=ours.p95 < BATCH_P95_MS
    )


def _start(start: Start) -> Iterator[Check]:
    for name, bound in ((LOCAL, LOCAL_SECONDS), (REGISTRY, REGISTRY_SECONDS)):
        row = next(row for row in start.rows if row.name == name)
        yield Check(promise=f"ready in < {bound} s: {name}", measured=f"{row.ready:.2f} s", passed=row.ready < bound)
    ours = [row for row in start.rows if row.name in {LOCAL, REGISTRY}]
    rss = max(max(row.rss, row.loaded_rss_mib or 0) for row in ours)
    yield Check(
        promise=f"resident memory < {RSS_MIB} MiB, also after load", measured=f"{rss:.0f} MiB", passed=rss < RSS_MIB
    )


def _overload(overload: Overload) -> Iterator[Check]:
    other = sorted(set(overload.statuses) - ALLOWED_IN_OVERLOAD)
    counts = ", ".join(f"{status}: {count:,}" for status, count in sorted(overload.statuses.items()))
    yield Check(promise="overload: only 200, 429, 503", measured=counts, passed=not other)
    p95 = overload.accepted_p95_ms
    yield Check(
        promise=f"overload: p95 of the accepted < {OVERLOAD_P95_MS} ms",
        measured=f"{p95:.0f} ms",
        passed=p95 < OVERLOAD_P95_MS,
    )
    seconds = overload.recovery_seconds
    yield Check(
        promise=f"overload: normal again (p95 < {NORMAL_P95_MS:g} ms, only 200) within {RECOVERY_SECONDS} s",
        measured="at once" if seconds == 0 else f"{seconds:.0f} s",
        passed=seconds <= RECOVERY_SECONDS,
    )
