"""Batches of 1,000 customers, one request at a time, compared with ONNX Runtime and JSON parsing without a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks import traffic
from benchmarks.bench import Bench, Running, bodies
from benchmarks.contender import ONE_THREAD, ROOT, SERVE, Route
from benchmarks.errors import BenchError
from benchmarks.plan import BATCH_CONNECTIONS, BATCH_ROWS, BATCHES

RAW = "ONNX Runtime + JSON, no server"


@dataclass(kw_only=True)
class Row:
    """The results of one contender, with one entry per round."""

    name: str
    rows_per_second: list[float] = field(default_factory=list)
    p95_ms: list[float] = field(default_factory=list)
    failures: int = 0

    @property
    def rate(self) -> float:
        """Customers scored per second, median over the rounds."""
        return median(self.rows_per_second)

    @property
    def p95(self) -> float:
        """95th percentile of the time of one batch in ms, median over the rounds."""
        return median(self.p95_ms)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The figures of this group."""

    rows: list[Row]

    def row(self, name: str) -> Row | None:
        """The contender of this name, if it was measured."""
        return next((row for row in self.rows if row.name == name), None)


def measure(bench: Bench, servers: Sequence[Running]) -> Batch:
    """Measure interleaved rounds of everything that accepts batches."""
    raw_bodies = bench.work / "targets" / "raw-batches.ndjson"
    raw_bodies.parent.mkdir(parents=True, exist_ok=True)
    route = Route(path="", body=traffic.batch)
    raw_bodies.write_bytes(b"\n".join(bodies(route, bench.customers, BATCH_ROWS, BATCHES)))
    rows = {server.contender.name: Row(name=server.contender.name) for server in servers if server.batch}
    raw = Row(name=RAW)
    for turn in range(bench.plan.rounds):
        for server in servers:
            if server.batch:
                bench.say(f"batches, round {turn + 1} of {bench.plan.rounds}: {server.contender.name}")
                _served(bench, server, server.batch, rows[server.contender.name])
        bench.say(f"batches, round {turn + 1} of {bench.plan.rounds}: {RAW}")
        _raw(bench, raw_bodies, raw)
    return Batch(rows=[*rows.values(), raw])


def _served(bench: Bench, server: Running, targets: Path, row: Row) -> None:
    with server.server.thawed():
        bench.generator.closed(targets, seconds=bench.plan.warm_seconds, connections=BATCH_CONNECTIONS)
        outcome = bench.generator.closed(targets, seconds=bench.plan.batch_seconds, connections=BATCH_CONNECTIONS)
    row.rows_per_second.append(outcome.rate * BATCH_ROWS)
    row.p95_ms.append(outcome.p95_ms)
    row.failures += outcome.failures


def _raw(bench: Bench, raw_bodies: Path, row: Row) -> None:
    program = [sys.executable, "-m", f"{SERVE}.raw_onnx", str(raw_bodies), str(bench.plan.batch_seconds)]
    done = subprocess.run(  # noqa: S603 - our own program
        ["taskset", "--cpu-list", str(bench.cores.server), *program],  # noqa: S607 - wherever util-linux is installed
        env={**os.environ, **ONE_THREAD, "BENCH_ONNX": str(bench.served.onnx), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"{RAW} failed: {done.stderr.strip()[-500:]}")
    figures = json.loads(done.stdout)
    row.rows_per_second.append(figures["rows_per_second"])
    row.p95_ms.append(figures["p95_ms"])
