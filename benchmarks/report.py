"""The figures as text: Markdown that is also readable in a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from benchmarks.contender import API
from benchmarks.plan import PROBE_RATES
from benchmarks.results import Results
from benchmarks.targets import checks

_FIGURE: Final = re.compile(r"-|[\d,.]+%?( to [\d,.]+)?|inf")
_VERDICTS: Final = {True: "yes", False: "**no**", None: "-"}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a padded Markdown table; columns of figures are aligned to the right."""
    cells = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    numeric = [all(_FIGURE.fullmatch(row[i]) for row in cells[1:]) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = (c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True))
        return f"| {' | '.join(padded)} |"

    rule = "|".join(f"-{'-' * (w - 1)}-:" if n else f"-{'-' * w}-" for w, n in zip(widths, numeric, strict=True))
    return "\n".join([line(cells[0]), f"|{rule}|", *map(line, cells[1:])])


def targets(results: Results) -> str:
    """The targets with their verdicts."""
    rows = [(check.promise, check.measured, _VERDICTS[check.passed]) for check in checks(results)]
    return table(("Target", "Measured", "Met"), rows)


def single(results: Results) -> str:
    """Single predictions."""
    if results.single is None:
        return ""
    rows = results.single.rows
    ours = next(row for row in rows if row.name == API).rate
    body = [
        (
            row.name,
            f"{row.rate:,.0f}",
            f"{ours / row.rate:.2f}",
            f"{min(row.rates):,.0f} to {max(row.rates):,.0f}",
            *(f"{row.probes[rate]:.2f}" if rate in row.probes else "-" for rate in PROBE_RATES),
            str(row.failures),
            f"{row.generator_busy:.0%}",
        )
        for row in rows
    ]
    header = (
        "Server",
        "req/s",
        "ratio",
        "rounds",
        *(f"p95 ms at {r}/s" for r in PROBE_RATES),
        "failed",
        "generator",
    )
    steady = results.single.steady
    return (
        f"{table(header, body)}\n\n"
        f"{API} at {PROBE_RATES[-1]} requests/s for {steady.seconds:g} s: {steady.sent:,} sent, "
        f"{steady.failures} failed; p50 {steady.p50_ms:.2f} ms, p95 {steady.p95_ms:.2f} ms, p99 {steady.p99_ms:.2f} ms."
    )


def batch(results: Results) -> str:
    """Batches."""
    if results.batch is None:
        return ""
    ours = next(row for row in results.batch.rows if row.name == API).rate
    body = [
        (
            row.name,
            f"{row.rate:,.0f}",
            f"{ours / row.rate:.2f}",
            f"{min(row.rows_per_second):,.0f} to {max(row.rows_per_second):,.0f}",
            f"{row.p95:.1f}",
            str(row.failures),
        )
        for row in results.batch.rows
    ]
    return table(("Server", "rows/s", "ratio", "rounds", "p95 ms", "failed"), body)


def start(results: Results) -> str:
    """The table of start times and memory."""
    if results.start is None:
        return ""
    body = [
        (
            row.name,
            f"{row.ready:.2f}",
            f"{min(row.seconds):.2f} to {max(row.seconds):.2f}",
            f"{row.rss:.0f}",
            f"{row.loaded_rss_mib:.0f}" if row.loaded_rss_mib is not None else "-",
            str(row.processes),
        )
        for row in results.start.rows
    ]
    return table(("Server", "ready, s", "rounds", "MiB", "MiB after load", "processes"), body)


def overload(results: Results) -> str:
    """Overload."""
    figures = results.overload
    if figures is None:
        return ""
    statuses = ", ".join(f"{count:,} of {status}" for status, count in sorted(figures.statuses.items()))
    body = [
        ("closed loop before, req/s", f"{figures.capacity:,.0f}"),
        (f"offered for {figures.seconds:g} s, req/s", f"{figures.offered:,.0f}"),
        ("sent and answered, req/s", f"{figures.sent:,.0f}"),
        ("accepted (200), req/s", f"{figures.accepted:,.0f}"),
        ("answers", statuses),
        ("p95 of the accepted, ms", f"{figures.accepted_p95_ms:.1f}"),
        ("load generator's share of its core", f"{figures.generator_busy:.0%}"),
        (f"afterwards, {PROBE_RATES[0]} req/s: last bad second ends after, s", f"{figures.recovery_seconds:.0f}"),
        (f"afterwards, {PROBE_RATES[0]} req/s: p95, ms", f"{figures.recovery_p95_ms:.2f}"),
    ]
    return table(("Overload", "Measured"), body)


def tables(results: Results) -> str:
    """All tables of the measured groups, as printed in the terminal."""
    parts = [single(results), batch(results), start(results), overload(results), targets(results)]
    return "\n\n".join(part for part in parts if part)


def setups(results: Results) -> str:
    """The contenders, with their setup and versions."""
    body = [
        (
            contender.name,
            contender.setup,
            ", ".join(f"{name} {version}" for name, version in contender.versions.items()),
            results.problems.get(contender.name, "measured").splitlines()[0],
        )
        for contender in results.contenders
    ]
    return table(("Server", "Setup", "Versions", "State"), body)
