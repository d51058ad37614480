"""``python -m benchmarks.backup``: compares backup and restore with plain tools; writes the figures in docs/dr.md.

Needs PostgreSQL 15 and an account that is not root, since PostgreSQL refuses to run for that.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from benchmarks import machine, report, sections
from benchmarks.contender import ROOT
from benchmarks.machine import MIB
from ops.backup import run as backup_run
from ops.backup.drill_server import ThrowawayServer
from ops.backup.options import ArtifactsOptions, BackupOptions, PostgresOptions, RestoreOptions
from ops.backup.postgres_client import Session, conninfo, tool
from ops.backup.restore import restore

DOCUMENT: Final = ROOT / "docs" / "dr.md"
BEGIN: Final = "<!-- measured: begin, written by `make bench-backup` -->\n"
END: Final = "<!-- measured: end -->\n"
TARGET: Final = 0.8
"""Target: the lowest ratio of our throughput to that of plain tools."""
GIB: Final = 1024.0
RTO_DATABASE_GIB, RTO_ARTIFACTS_GIB, RTO_HOURS = 5, 20, 4

_TEXT: Final = Template("""\
Measured on $date with `make bench-backup`: $cores cores, $cpu; PostgreSQL 15 on the same machine; the median of
$rounds interleaved rounds, in MiB/s of data moved. The database has $database MiB of metric rows on disk, the store
$artifacts MiB in $files files. "plain" is `pg_dump -Fc | pg_restore` into an empty database, and `cp -r` followed by
`sync`; "ours" checks, hashes and compares, with a stored backup in between. Each step starts with none of the files in
memory, as a nightly backup or a restore after a loss does.

$table

Together the ratio is $database_ratio for the database and $artifacts_ratio for the artifacts; the target of 0.8 is
$verdict.

The restores alone ran at D = $database_rate MiB/s of database on disk and A = $artifacts_rate MiB/s of artifacts, each
with its checks. So $database_gib GiB and $artifacts_gib GiB take 5,120 / D + 20,480 / A = $seconds s, $minutes minutes,
of the promised $hours hours.
""")


_ROWS: Final = """
CREATE TABLE metrics (key text, value float8, timestamp bigint, run_uuid text, step bigint,
  PRIMARY KEY (key, timestamp, step, run_uuid, value));
INSERT INTO metrics SELECT 'metric ' || s % 20, random(), 1700000000000 + i * 1000 + s, md5(i::text), s
  FROM generate_series(1, {runs}) i, generate_series(1, {metrics}) s;
CHECKPOINT;"""


@dataclass(frozen=True, kw_only=True)
class Size:
    """The amount of data to move."""

    runs: int
    metrics: int
    files: int
    file_bytes: int


FULL: Final = Size(runs=4_000, metrics=500, files=600, file_bytes=MIB)
SMOKE: Final = Size(runs=50, metrics=20, files=20, file_bytes=20_000)


def fill(server: str, folder: Path, size: Size) -> float:
    """Create a database and a store; returns the size of the database in MiB."""
    with Session(server, "postgres") as session:
        session.run("CREATE DATABASE mlflow;")
    with Session(server, "mlflow") as session:
        session.run(_ROWS.format(runs=size.runs, metrics=size.metrics))
        mebibytes = float(session.run("SELECT pg_database_size('mlflow');")) / MIB
    drawn = random.Random(8)  # noqa: S311 - no secret
    for number in range(size.files):
        path = folder / f"{number % 20}" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(drawn.randbytes(size.file_bytes))
    return mebibytes


def forget(folder: Path) -> None:
    """Drop the files from the page cache.

    A nightly backup, or a restore after a loss, starts without them. It also gives every step the same free memory: on
    a virtual machine the first step to use more has to wait for the host.
    """
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


class Round:
    """One round: each step once, on empty targets."""

    def __init__(self, server: str, store: Path, work: Path) -> None:
        self.server = server
        self.store = store
        self.work = work
        self.seconds: dict[str, float] = {}

    def run(self) -> dict[str, float]:
        """Seconds of each step."""
        dump = PostgresOptions(service=self.server, databases=("mlflow",), to=self._root)
        copy = ArtifactsOptions(source=str(self.store), to=self._root)
        steps: list[tuple[str, Callable[[], object]]] = [
            ("plain database", self._plain_database),
            (
                "our dump",
                lambda: self._backup(dump),
            ),
            ("our database restore", lambda: self._restore(server=self._renamed(), artifacts=None)),
            ("plain artifacts", self._plain_artifacts),
            ("our copy", lambda: self._backup(copy)),
            ("our artifacts restore", lambda: self._restore(server=None, artifacts=str(self.work / "restored"))),
        ]
        for name, step in steps:
            forget(self.store)
            forget(self.work)
            started = time.perf_counter()
            step()
            self.seconds[name] = time.perf_counter() - started
        self._drop("plain", "mlflow")
        self._sql('ALTER DATABASE "source" RENAME TO mlflow;')
        for path in self.work.iterdir():
            shutil.rmtree(path)
        return self.seconds

    def _plain_database(self) -> None:
        self._sql("CREATE DATABASE plain;")
        with subprocess.Popen(  # noqa: S603 - programs of PostgreSQL, without a shell
            [tool("pg_dump"), "-Fc", "-d", conninfo(self.server, "mlflow")], stdout=subprocess.PIPE
        ) as dump:
            subprocess.run(  # noqa: S603 - see above
                [tool("pg_restore"), "-d", conninfo(self.server, "plain")], stdin=dump.stdout, check=True
            )

    def _renamed(self) -> str:
        """Move the source out of the way, so that its place is empty for the restore; takes hardly any time."""
        self._sql('ALTER DATABASE mlflow RENAME TO "source";')
        return self.server

    @property
    def _root(self) -> Path:
        return self.work / "backups"

    def _backup(self, options: BackupOptions) -> None:
        backup_run.run(options, lambda _: None)

    def _restore(self, *, server: str | None, artifacts: str | None) -> None:
        options = RestoreOptions(source=str(self._root), server=server, artifacts=artifacts)
        restore(options, lambda _: None)

    def _plain_artifacts(self) -> None:
        subprocess.run(["/bin/cp", "-r", str(self.store), str(self.work / "plain")], check=True)  # noqa: S603 - our paths
        os.sync()

    def _drop(self, *names: str) -> None:
        self._sql("".join(f"DROP DATABASE {name};\n" for name in names))

    def _sql(self, sql: str) -> None:
        with Session(self.server, "postgres") as session:
            session.run(sql)


def measure(size: Size, rounds: int) -> tuple[list[dict[str, float]], float]:
    """Measure every round; returns the seconds of each step, and the size of the database in MiB."""
    with tempfile.TemporaryDirectory(prefix="churn-bench-backup-") as name:
        folder = Path(name)
        with ThrowawayServer(folder) as server:
            seconds, mebibytes = measure_on(server.conninfo, folder, size, rounds)
    return seconds, mebibytes


def measure_on(server: str, folder: Path, size: Size, rounds: int) -> tuple[list[dict[str, float]], float]:
    """Do the same on a running server, in an empty folder."""
    store, work = folder / "store", folder / "work"
    mebibytes = fill(server, store, size)
    work.mkdir()
    return [Round(server, store, work).run() for _ in range(rounds)], mebibytes


def text(measured: list[dict[str, float]], size: Size, database: float) -> str:
    """Write the section of the document."""
    artifacts = size.files * size.file_bytes / MIB
    seconds = {name: statistics.median(one[name] for one in measured) for name in measured[0]}
    ours = {
        "database": statistics.median(one["our dump"] + one["our database restore"] for one in measured),
        "artifacts": statistics.median(one["our artifacts restore"] for one in measured),
    }
    database_ratio = statistics.median(
        one["plain database"] / (one["our dump"] + one["our database restore"]) for one in measured
    )
    copies = {name: statistics.median(one["plain artifacts"] / one[name] for one in measured) for name in measured[0]}
    rate_d, rate_a = database / seconds["our database restore"], artifacts / seconds["our artifacts restore"]
    total = RTO_DATABASE_GIB * GIB / rate_d + RTO_ARTIFACTS_GIB * GIB / rate_a
    rows = [
        ("database, plain: dump and restore", database, seconds["plain database"]),
        ("database, ours: dump", database, seconds["our dump"]),
        ("database, ours: restore", database, seconds["our database restore"]),
        ("database, ours: dump and restore", database, ours["database"]),
        ("artifacts, plain: copy", artifacts, seconds["plain artifacts"]),
        ("artifacts, ours: backup", artifacts, seconds["our copy"]),
        ("artifacts, ours: restore", artifacts, seconds["our artifacts restore"]),
    ]
    facts = machine.describe()
    worst = min(copies["our copy"], copies["our artifacts restore"])
    return _TEXT.substitute(
        date=facts.date, cores=facts.cores, cpu=facts.cpu, rounds=len(measured), files=size.files,
        database=f"{database:,.0f}", artifacts=f"{artifacts:,.0f}",
        table=report.table(("Step", "Seconds", "MiB/s"), [(n, f"{s:.2f}", f"{m / s:,.0f}") for n, m, s in rows]),
        database_ratio=f"{database_ratio:.2f}",
        artifacts_ratio=f"{copies['our copy']:.2f} (backup) and {copies['our artifacts restore']:.2f} (restore)",
        verdict="met" if min(database_ratio, worst) >= TARGET else "**not met** by each",
        database_rate=f"{rate_d:,.0f}", artifacts_rate=f"{rate_a:,.0f}",
        database_gib=RTO_DATABASE_GIB, artifacts_gib=RTO_ARTIFACTS_GIB, hours=RTO_HOURS,
        seconds=f"{total:,.0f}", minutes=f"{total / 60:,.1f}",
    )  # fmt: skip


def put(document: str, section: str) -> str:
    """Replace the measured section of a document."""
    return sections.between(document, BEGIN, END, f"\n{section}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backup", description=__doc__.partition("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="little data, one round, nothing written")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--raw", type=Path, help="also keep the seconds of each round as JSON")
    options = parser.parse_args(arguments)
    size = SMOKE if options.smoke else FULL
    measured, database = measure(size, 1 if options.smoke else options.rounds)
    section = text(measured, size, database)
    print(section)  # noqa: T201 - a program prints
    if options.raw:
        options.raw.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    if not options.smoke:
        DOCUMENT.write_text(put(DOCUMENT.read_text(encoding="utf-8"), section), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
