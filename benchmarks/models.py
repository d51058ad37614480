"""``python -m benchmarks.models``: kinds and numbers of models in one API; writes its section of docs/performance.md.

Each setting is measured on one core, in interleaved rounds, and compared with the first of the same round. An older
checkout can be measured beside them: all serve one bundle of format 1, which every revision loads.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from string import Template
from typing import Final

import psutil

from app.bundle import MANIFEST
from app.schemas import SCHEMA_VERSION
from benchmarks import load, machine, model, report, sections, traffic
from benchmarks.contender import JSON_HEADERS, LOOPBACK, ONE_THREAD, ROOT
from benchmarks.load import Generator, write_targets
from benchmarks.plan import BATCH_CONNECTIONS, BATCH_ROWS, CONNECTIONS, FULL, SINGLE_CUSTOMERS
from benchmarks.processes import Server
from ops.local.ports import free_port

DOCUMENT: Final = ROOT / "docs" / "performance.md"
SECTION: Final = "models"
ROUNDS: Final = 9
EIGHT: Final = 8
BOOSTED: Final = ("gradient_boosting", "xgboost", "lightgbm")
_BATCHES: Final = 5
_PORT: Final = 18_500
_PORT_STEP: Final = 10

_TEXT: Final = Template("""\
## Other models, and several in one API

Measured on $date with `make bench-models`: $cores cores, $cpu, whose load average
was $load. One server at a time has the first core, and the load generator the other; $rounds interleaved rounds of
$seconds s. Each ratio is the median over the rounds of the row's figure divided by that of the first row in the same
round. "CPU" is the server's own processor time for each prediction, which other processes disturb less than rates.
Batches have $batch_rows customers. Memory is resident after the load.

$table
""")
HEADER: Final = (
    "Setting", "predictions/s", "ratio", "CPU µs", "ratio", "batch rows/s", "ratio", "start s", "ratio", "MiB",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is served, and by which code."""

    name: str
    source: Path
    """Folder with a bundle; with one folder for each of several."""
    models: Sequence[str] = ("churn",)
    code: Path = ROOT


@dataclass(kw_only=True)
class Row:
    """The figures of one setting, one of each round; ``memory`` is in MiB."""

    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    rows: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    memory: float = 0.0

    def cells(self, first: Row) -> tuple[str, ...]:
        """Its figures, each with the ratio to those of the first row."""
        return (
            f"{median(self.rates):,.0f}", ratio(self.rates, first.rates),
            f"{median(self.cpu_us):.1f}", ratio(self.cpu_us, first.cpu_us),
            f"{median(self.rows):,.0f}", ratio(self.rows, first.rows),
            f"{median(self.starts):.2f}", ratio(self.starts, first.starts),
            f"{self.memory:.0f}",
        )  # fmt: skip


def ratio(figures: Sequence[float], of_first: Sequence[float]) -> str:
    """The median over the rounds of one figure divided by another."""
    return f"{median(a / b for a, b in zip(figures, of_first, strict=True)):.2f}"


@dataclass(frozen=True, kw_only=True)
class Running:
    """A started server with its requests."""

    server: Server
    single: Path
    batch: Path


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What every setting is measured with."""

    cores: machine.Cores
    generator: Generator
    singles: Sequence[bytes]
    batches: Sequence[bytes]
    work: Path

    def start(self, setting: Setting, place: int) -> tuple[Running, float]:
        """Start a server; also returns the seconds until its first prediction."""
        port = free_port(_PORT + _PORT_STEP * place)
        folder = self.work / str(place)
        environment = {
            **ONE_THREAD,
            "PYTHONPATH": str(setting.code),
            "PORT": str(port),
            "AUTH": "off",
            "MODEL_SOURCE": str(setting.source),
            "MODELS": ",".join(setting.models),
            "MODEL_CACHE_DIR": str(folder / "cache"),
            "RATE_LIMIT": "1000000/second",
            "DRAIN_SECONDS": "0",
        }
        command = [sys.executable, "-m", "app"]
        server = Server(setting.name, command, environment, core=self.cores.server, log=folder / "api.log")
        url = f"http://{LOOPBACK}:{port}/v1/predict"
        try:
            seconds = server.wait_ready(url, self.singles[0], JSON_HEADERS)
            single = write_targets(folder / "single.json", url, JSON_HEADERS, self.singles)
            batch = write_targets(folder / "batch.json", f"{url}/batch", JSON_HEADERS, self.batches)
        except BaseException:
            server.stop()
            raise
        return Running(server=server, single=single, batch=batch), seconds

    @contextmanager
    def running(self, settings: Sequence[Setting]) -> Iterator[list[Running]]:
        """Start all servers and freeze them; they are stopped at the end."""
        with ExitStack() as stack:
            servers = []
            for place, setting in enumerate(settings):
                running, _ = self.start(setting, place)
                stack.enter_context(running.server)
                running.server.freeze()
                servers.append(running)
            yield servers

    def measure(self, running: Running, row: Row) -> None:
        """Add one round of single predictions and batches."""
        seconds = FULL.closed_seconds
        with running.server.thawed():
            self.generator.closed(running.single, seconds=FULL.warm_seconds, connections=CONNECTIONS)
            before = _cpu_seconds(running.server)
            outcome = self.generator.closed(running.single, seconds=seconds, connections=CONNECTIONS)
            used = _cpu_seconds(running.server) - before
            batch = self.generator.closed(running.batch, seconds=FULL.batch_seconds, connections=BATCH_CONNECTIONS)
            row.memory = running.server.rss_mib()
        row.rates.append(outcome.rate)
        row.cpu_us.append(1e6 * used / int(outcome.accepted.sum()))
        row.rows.append(batch.rate * BATCH_ROWS)


def _cpu_seconds(server: Server) -> float:
    times = psutil.Process(server.pid).cpu_times()
    return float(times.user + times.system)


def measure(bench: Bench, settings: Sequence[Setting]) -> list[Row]:
    """Measure the settings in turns."""
    rows = [Row() for _ in settings]
    for _ in range(ROUNDS):
        for place, setting in enumerate(settings):
            running, seconds = bench.start(setting, len(settings))
            running.server.stop()
            rows[place].starts.append(seconds)
    with bench.running(settings) as servers:
        for _ in range(ROUNDS):
            for running, row in zip(servers, rows, strict=True):
                bench.measure(running, row)
    return rows


def as_format_1(source: Path, target: Path) -> Path:
    """Copy a bundle of the built-in customers as releases before contracts wrote it."""
    shutil.copytree(source, target)
    manifest = json.loads((target / MANIFEST).read_text("utf-8"))
    for key in ("contract", "contract_sha256", "medians"):
        manifest.pop(key, None)
    manifest |= {"format": 1, "schema_version": SCHEMA_VERSION}
    (target / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return target


def settings_of(work: Path, served: model.Served, before: Mapping[str, Path]) -> list[Setting]:
    """What is compared: one linear model, any older checkouts, eight linear models, and a boosted one of each kind."""
    linear = as_format_1(served.onnx.parent, work / "linear")
    names = [f"model-{number}" for number in range(1, EIGHT + 1)]
    for name in names:
        shutil.copytree(linear, work / "eight" / name)
    return [
        Setting(name="logistic regression", source=linear),
        *(Setting(name=name, source=linear, code=code) for name, code in before.items()),
        Setting(name=f"one of {EIGHT} of them", source=work / "eight", models=names),
        *(Setting(name=name.replace("_", " "), source=model.another(served, name, work / name)) for name in BOOSTED),
    ]


def text(settings: Sequence[Setting], rows: Sequence[Row]) -> str:
    """Write the section of the document."""
    facts = machine.describe()
    table = [(setting.name, *row.cells(rows[0])) for setting, row in zip(settings, rows, strict=True)]
    return _TEXT.substitute(
        date=facts.date, cores=facts.cores, cpu=facts.cpu, load=f"{os.getloadavg()[0]:.0f}",
        rounds=ROUNDS, seconds=f"{FULL.closed_seconds:g}", batch_rows=f"{BATCH_ROWS:,}",
        table=report.table(HEADER, table),
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--before", action="append", default=[], metavar="NAME=FOLDER", help="also measure an older checkout"
    )
    parser.add_argument("--dry", action="store_true", help="print the section, write nothing")
    options = parser.parse_args(arguments)
    before = {name: Path(folder).resolve() for name, folder in (item.split("=", 1) for item in options.before)}
    cores = machine.take_cores()
    binary = load.ensure_vegeta(ROOT / ".bench" / "bin")
    customers = traffic.customers(BATCH_ROWS * _BATCHES)
    with tempfile.TemporaryDirectory(prefix="churn-bench-models-") as folder:
        work = Path(folder)
        with model.registered(work / "home", cores.load) as served:
            settings = settings_of(work, served, before)
        bench = Bench(
            cores=cores,
            generator=Generator(binary, work / "load"),
            singles=[traffic.one(customer) for customer in customers[:SINGLE_CUSTOMERS]],
            batches=[traffic.batch(customers[i : i + BATCH_ROWS]) for i in range(0, len(customers), BATCH_ROWS)],
            work=work,
        )
        section = text(settings, measure(bench, settings))
    print(section)  # noqa: T201 - a program prints
    if not options.dry:
        DOCUMENT.write_text(sections.put(DOCUMENT.read_text("utf-8"), SECTION, section), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
