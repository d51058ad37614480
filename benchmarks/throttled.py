"""``python -m benchmarks.throttled``: Redis under an API at its CPU limit; writes its section of docs/performance.md.

The API gets half a CPU by a quota of the kernel, as a pod does, and the same load for each revision that is compared.
Needs root, a control group for CPUs (version 1 or 2) and redis-server or valkey-server.
"""

from __future__ import annotations

import argparse
import http.client
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from benchmarks import load, machine, model, report, sections, traffic
from benchmarks.contender import JSON_HEADERS, LOOPBACK, ONE_THREAD, ROOT
from benchmarks.errors import BenchError
from benchmarks.load import Generator, Outcome, write_targets
from benchmarks.processes import Server
from ops.local.ports import free_port

DOCUMENT: Final = ROOT / "docs" / "performance.md"
SECTION: Final = "throttled"
RATES: Final = (400.0, 700.0, 900.0)
"""Requests per second: the first leaves half a CPU idle now and then, the last is near to all that it can answer."""
SECONDS: Final = 12.0
WARM_UP_SECONDS: Final = 3.0
CUSTOMERS: Final = 500
PERIOD_MICROSECONDS: Final = 100_000
"""The period in which the kernel grants a quota; Kubernetes uses the same."""
CPUS: Final = 0.5
_PORT: Final = 18_400
_REDIS: Final = ("redis-server", "valkey-server")

_TEXT: Final = Template("""\
## Redis under an API at its CPU limit

Measured on $date with `make bench-throttled`: $cores cores, $cpu, whose load
average was $load. The API has $cpus CPU by the kernel's quota (periods of 100 ms, as in Kubernetes) and Redis the other
core, with the load generator. It answers requests of $customers customers for $seconds s, after the cache was filled
without a quota. "no limit" is the share of requests that no rate limit counted; "alone" that of requests that the
process counted by itself; "cache off" that of look-ups without an answer in time. "stopped" is the share of the periods
in which the kernel stopped the process. "before" is the revision whose gate closed after one call over 15 ms.

$table
""")


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one revision did with its load; the shares are of all requests or look-ups, between 0 and 1."""

    name: str
    rate: float
    hits: float
    cache_off: float
    no_limit: float
    alone: float
    stopped: float
    outcome: Outcome

    def row(self) -> tuple[str, ...]:
        """Its row of the table."""
        shares = (self.hits, self.cache_off, self.no_limit, self.alone, self.stopped)
        p50, p95 = (f"{self.outcome.percentile_ms(percent):.1f}" for percent in (50, 95))
        return (
            f"{self.rate:g}",
            self.name,
            *(f"{share:.1%}" for share in shares),
            p50,
            p95,
            f"{self.outcome.failures}",
        )


HEADER: Final = (
    "req/s", "Revision", "cache hits", "cache off", "no limit", "alone", "stopped", "p50 ms", "p95 ms", "failed",
)  # fmt: skip


class Quota:
    """A control group with a CPU quota, of the kernel's version 1 or 2."""

    def __init__(self, name: str) -> None:
        root = Path("/sys/fs/cgroup")
        self._unified = (root / "cgroup.controllers").exists()
        self.folder = root / name if self._unified else root / "cpu" / name
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise BenchError(f"no control group for CPUs can be made at {self.folder}: {error.strerror}") from error

    def add(self, pid: int) -> None:
        """Move a process into the group; processes that it starts later stay there."""
        (self.folder / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def limit(self, cpus: float) -> None:
        """Grant this many CPUs from now on."""
        quota = round(cpus * PERIOD_MICROSECONDS)
        if self._unified:
            (self.folder / "cpu.max").write_text(f"{quota} {PERIOD_MICROSECONDS}", encoding="ascii")
            return
        (self.folder / "cpu.cfs_period_us").write_text(str(PERIOD_MICROSECONDS), encoding="ascii")
        (self.folder / "cpu.cfs_quota_us").write_text(str(quota), encoding="ascii")

    def periods(self) -> tuple[int, int]:
        """Return how many periods there were so far, and in how many the processes were stopped."""
        lines = (self.folder / "cpu.stat").read_text(encoding="ascii").splitlines()
        values = dict(line.split() for line in lines)
        return int(values["nr_periods"]), int(values["nr_throttled"])

    def remove(self) -> None:
        """Remove the group, whose processes have ended."""
        self.folder.rmdir()


def samples(port: int) -> dict[str, float]:
    """Read every sample of the API's metrics, by name with labels."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[:1] != "#")}


def shares(before: dict[str, float], after: dict[str, float], requests: int) -> dict[str, float]:
    """Return the shares of :class:`Run` from two readings of the metrics; older revisions name some otherwise."""

    def increase(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    looked_up = {o: increase(f'churn_prediction_cache_total{{outcome="{o}"}}') for o in ("hit", "miss", "off")}
    all_look_ups = sum(looked_up.values()) or 1.0
    return {
        "hits": looked_up["hit"] / all_look_ups,
        "cache_off": looked_up["off"] / all_look_ups,
        "no_limit": increase('churn_rate_limit_total{outcome="off"}') / requests,
        "alone": increase("churn_rate_limit_alone_total") / requests,
    }


@contextmanager
def redis(work: Path, core: int) -> Iterator[int]:
    """Run Redis on a core until the block ends; returns its port."""
    program = next(filter(None, map(shutil.which, _REDIS)), None)
    if program is None:
        raise BenchError("neither redis-server nor valkey-server is installed")
    port = free_port(_PORT)
    command = [program, "--bind", LOOPBACK, "--port", str(port), "--save", "", "--appendonly", "no"]
    with Server("Redis", command, {}, core=core, log=work / "redis.log"):
        yield port


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What every revision is measured with."""

    cores: machine.Cores
    generator: Generator
    bundle: Path
    work: Path

    def measure(self, name: str, code: Path, rate: float) -> Run:
        """Measure the API of the revision in the folder ``code`` at a rate, on a Redis of its own."""
        work = self.work / f"{name}-{rate:g}"
        quota = Quota("churn-bench-throttled")
        try:
            with redis(work, self.cores.load) as redis_port:
                return self._measure(name, rate, self._environment(code, redis_port), work, quota)
        finally:
            quota.remove()

    def _environment(self, code: Path, redis_port: int) -> dict[str, str]:
        return {
            **ONE_THREAD,
            "PYTHONPATH": str(code),
            "PORT": str(free_port(_PORT + 1)),
            "AUTH": "off",
            "MODEL_SOURCE": str(self.bundle),
            "REDIS_URL": f"redis://{LOOPBACK}:{redis_port}/0",
            "PREDICTION_CACHE": "true",
            "RATE_LIMIT": "1000000/second",
            "DRAIN_SECONDS": "0",
        }

    def _measure(self, name: str, rate: float, environment: dict[str, str], work: Path, quota: Quota) -> Run:
        port = int(environment["PORT"])
        bodies = [traffic.one(customer) for customer in traffic.customers(CUSTOMERS)]
        url = f"http://{LOOPBACK}:{port}/v1/predict"
        command = [sys.executable, "-m", "app"]
        with Server(name, command, environment, core=self.cores.server, log=work / "api.log") as server:
            server.wait_ready(url, bodies[0], JSON_HEADERS)
            targets = write_targets(work / "targets.json", url, JSON_HEADERS, bodies)
            self.generator.constant(targets, rate=rate, seconds=WARM_UP_SECONDS)
            quota.add(server.pid)
            quota.limit(CPUS)
            before, (periods, stopped) = samples(port), quota.periods()
            outcome = self.generator.constant(targets, rate=rate, seconds=SECONDS)
            after, (periods_after, stopped_after) = samples(port), quota.periods()
        share = (stopped_after - stopped) / max(1, periods_after - periods)
        return Run(name=name, rate=rate, stopped=share, outcome=outcome, **shares(before, after, len(outcome.status)))


def text(runs: Sequence[Run]) -> str:
    """Write the section of the document."""
    facts = machine.describe()
    return _TEXT.substitute(
        date=facts.date, cores=facts.cores, cpu=facts.cpu, cpus=f"{CPUS:g}", customers=CUSTOMERS,
        load=f"{os.getloadavg()[0]:.0f}",
        seconds=f"{SECONDS:g}", table=report.table(HEADER, [run.row() for run in runs]),
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throttled", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--before", action="append", default=[], metavar="NAME=FOLDER", help="also measure an older checkout"
    )
    parser.add_argument("--bundle", type=Path, help="folder with a servable model (default: one is trained)")
    parser.add_argument("--rate", type=float, action="append", help="requests per second; repeatable")
    parser.add_argument("--dry", action="store_true", help="print the section, write nothing")
    options = parser.parse_args(arguments)
    revisions = [name.split("=", 1) for name in [*options.before, f"now={ROOT}"]]
    cores = machine.take_cores()
    binary = load.ensure_vegeta(ROOT / ".bench" / "bin")
    with tempfile.TemporaryDirectory(prefix="churn-bench-throttled-") as folder:
        work = Path(folder)
        with _bundle(options.bundle, work, cores.load) as bundle:
            bench = Bench(cores=cores, generator=Generator(binary, work / "load"), bundle=bundle, work=work)
            runs = [
                bench.measure(name, Path(code).resolve(), rate)
                for rate in options.rate or RATES
                for name, code in revisions
            ]
    section = text(runs)
    print(section)  # noqa: T201 - a program prints
    if not options.dry:
        DOCUMENT.write_text(sections.put(DOCUMENT.read_text("utf-8"), SECTION, section), encoding="utf-8")
    return 0


@contextmanager
def _bundle(own: Path | None, work: Path, core: int) -> Iterator[Path]:
    if own is not None:
        yield own.resolve()
        return
    with model.registered(work / "home", core) as served:
        yield served.onnx.parent


if __name__ == "__main__":
    raise SystemExit(main())
