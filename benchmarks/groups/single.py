"""Single predictions: their rate in a closed loop, and their latency at a constant rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.bench import Bench, Running
from benchmarks.contender import API
from benchmarks.load import Outcome
from benchmarks.plan import CONNECTIONS, HEADROOM, PROBE_RATES

STEADY_RATE = PROBE_RATES[-1]


@dataclass(kw_only=True)
class Row:
    """The results of one contender. ``probes`` has the p95 in ms by requests/s; a rate over its capacity has none."""

    name: str
    rates: list[float] = field(default_factory=list)
    closed_p95_ms: list[float] = field(default_factory=list)
    failures: int = 0
    generator_busy: float = 0.0
    probes: dict[int, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Predictions per second, median over the rounds."""
        return median(self.rates)


@dataclass(frozen=True, kw_only=True)
class Steady:
    """The results of our API at a constant rate, for the whole steady time."""

    seconds: float
    sent: int
    failures: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, kw_only=True)
class Single:
    """The figures of this group."""

    rows: list[Row]
    steady: Steady

    def row(self, name: str) -> Row | None:
        """The contender of this name, if it was measured."""
        return next((row for row in self.rows if row.name == name), None)


def measure(bench: Bench, servers: Sequence[Running]) -> Single:
    """Run interleaved closed loops, then constant rates where a server is fast enough, then the steady run."""
    rows = {server.contender.name: Row(name=server.contender.name) for server in servers}
    for turn in range(bench.plan.rounds):
        for server in servers:
            bench.say(f"single predictions, round {turn + 1} of {bench.plan.rounds}: {server.contender.name}")
            _closed(bench, server, rows[server.contender.name])
    for rate in PROBE_RATES:
        _probe(bench, servers, rows, rate)
    steady = _steady(bench, next(s for s in servers if s.contender.name == API))
    return Single(rows=list(rows.values()), steady=steady)


def _closed(bench: Bench, server: Running, row: Row) -> None:
    with server.server.thawed():
        bench.generator.closed(server.single, seconds=bench.plan.warm_seconds, connections=CONNECTIONS)
        outcome = bench.generator.closed(server.single, seconds=bench.plan.closed_seconds, connections=CONNECTIONS)
    row.rates.append(outcome.rate)
    row.closed_p95_ms.append(outcome.p95_ms)
    row.failures += outcome.failures
    row.generator_busy = max(row.generator_busy, outcome.generator_busy)


def _probe(bench: Bench, servers: Sequence[Running], rows: dict[str, Row], rate: int) -> None:
    for server in servers:
        row = rows[server.contender.name]
        if row.rate < rate * HEADROOM:
            continue
        bench.say(f"{rate} predictions a second: {server.contender.name}")
        with server.server.thawed():
            outcome = bench.generator.constant(server.single, rate=rate, seconds=bench.plan.probe_seconds)
        row.probes[rate] = outcome.p95_ms
        row.failures += outcome.failures


def _steady(bench: Bench, server: Running) -> Steady:
    bench.say(f"{STEADY_RATE} predictions a second for {bench.plan.steady_seconds:g} s: {server.contender.name}")
    with server.server.thawed():
        outcome: Outcome = bench.generator.constant(server.single, rate=STEADY_RATE, seconds=bench.plan.steady_seconds)
    return Steady(
        seconds=bench.plan.steady_seconds,
        sent=len(outcome.status),
        failures=outcome.failures,
        p50_ms=outcome.percentile_ms(50),
        p95_ms=outcome.p95_ms,
        p99_ms=outcome.percentile_ms(99),
    )
