"""Time from the start of a process to its first prediction, and its memory before and after load."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks import bench as shared
from benchmarks.bench import Bench
from benchmarks.contender import API, Contender
from benchmarks.contenders import api
from benchmarks.errors import BenchError
from benchmarks.load import write_targets
from benchmarks.plan import BATCH_CONNECTIONS, BATCH_ROWS, BATCHES, CONNECTIONS, SINGLE_CUSTOMERS

LOCAL = f"{API}, from its local copy (registry down)"
REGISTRY = f"{API}, from the registry"
_NOBODY = "http://127.0.0.1:9"
"""The discard port: nothing listens there, so a registry at this address is down."""


@dataclass(kw_only=True)
class Row:
    """The results of one way to start one contender, with one entry per round. Memory in MiB, of all its processes."""

    name: str
    seconds: list[float] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)
    loaded_rss_mib: float | None = None
    processes: int = 0

    @property
    def ready(self) -> float:
        """Seconds to the first prediction, median over the rounds."""
        return median(self.seconds)

    @property
    def rss(self) -> float:
        """Memory once ready, median over the rounds."""
        return median(self.rss_mib)


@dataclass(frozen=True, kw_only=True)
class Start:
    """The figures of this group."""

    rows: list[Row]

    def row(self, name: str) -> Row | None:
        """The contender of this name, if it was measured."""
        return next((row for row in self.rows if row.name == name), None)


def measure(bench: Bench) -> Start:
    """Start and stop everything in interleaved rounds; the last start of each is then put under load."""
    cache = bench.work / "start-cache"
    ways = {LOCAL: api(bench.served, cache=cache, tracking_uri=_NOBODY), REGISTRY: api(bench.served, cache=cache)}
    ways |= {c.name: c for c in bench.usable() if c.name != API and not c.variant}
    rows: dict[str, Row] = {}
    _prime(bench, ways[REGISTRY], cache)
    for turn in range(bench.plan.starts):
        last = turn == bench.plan.starts - 1
        for name, contender in ways.items():
            if name in bench.problems:
                continue
            bench.say(f"start, round {turn + 1} of {bench.plan.starts}: {name}")
            if name == REGISTRY:
                shutil.rmtree(cache)
            try:
                _start(bench, contender, rows.setdefault(name, Row(name=name)), load=last)
            except BenchError as error:
                shared.give_up(bench, contender, error)
                rows.pop(name)
    return Start(rows=list(rows.values()))


def _prime(bench: Bench, contender: Contender, cache: Path) -> None:
    """Let the API store a local copy of the model, as it does after any start from the registry."""
    with suppress(FileNotFoundError):
        shutil.rmtree(cache)
    server, _, _ = shared.start(bench, contender)
    server.stop()


def _start(bench: Bench, contender: Contender, row: Row, *, load: bool) -> None:
    server, url, seconds = shared.start(bench, contender)
    with server:
        row.seconds.append(seconds)
        row.rss_mib.append(server.rss_mib())
        row.processes = server.processes()
        if load:
            _load(bench, contender, url)
            row.loaded_rss_mib = server.rss_mib()


def _load(bench: Bench, contender: Contender, url: str) -> None:
    targets = bench.work / "targets" / "start.json"
    singles = shared.bodies(contender.single, bench.customers, 1, SINGLE_CUSTOMERS)
    write_targets(targets, url + contender.single.path, contender.headers, singles)
    bench.generator.closed(targets, seconds=bench.plan.closed_seconds, connections=CONNECTIONS)
    if contender.batch:
        batches = shared.bodies(contender.batch, bench.customers, BATCH_ROWS, BATCHES)
        write_targets(targets, url + contender.batch.path, contender.headers, batches)
        bench.generator.closed(targets, seconds=bench.plan.batch_seconds, connections=BATCH_CONNECTIONS)
