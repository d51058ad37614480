# ruff: noqa: T201  # a program prints
"""The restore drill: ``python -m ops.backup.drill``, or ``churn drill`` where the command is installed.

The newest backup is restored into a throwaway PostgreSQL and a folder, compared with what was dumped, and every
registered model is loaded from it as the API would. Nothing of the live platform is touched.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from ops.backup.catalog import LATEST, Catalog
from ops.backup.drill_models import Proof, prove
from ops.backup.drill_server import ThrowawayServer
from ops.backup.program import stop, told
from ops.backup.restore import RestoreOptions, restore
from ops.backup.store import open_store
from ops.errors import OpsError
from ops.pushgateway import push

JOB: Final = "drill"
"""Group of the figures at the pushgateway."""
Say = Callable[[str], None]

_EPILOG: Final = """\
environment:
  PUSHGATEWAY_URL  where to tell what became of the drill, if anywhere

Exit code: 0 the backup is proven; 1 a server or a bucket failed, which may pass; 2 the backup is not good.

example: python -m ops.backup.drill --from /var/lib/backups --scratch /var/lib/drill --reports /var/lib/drill-reports
"""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a drill found, for people and for the file that is kept."""

    at: datetime
    source: str
    postgres: str
    artifacts: str
    snapshot_at: datetime
    server_version: str
    seconds: dict[str, float]
    rto_seconds: float
    """From the empty scratch folder to the last model loaded."""
    rpo_seconds: float
    """The longest time between two dumps that follow one another, or since the newest: what could have been lost."""
    rows: dict[str, int]
    revisions: dict[str, dict[str, str]]
    files: int
    bytes: int
    models: list[Proof]

    def figures(self) -> dict[str, float]:
        """For the pushgateway."""
        return {
            "churn_drill_success": 1,
            "churn_drill_last_success_timestamp_seconds": self.at.timestamp(),
            "churn_drill_rto_seconds": self.rto_seconds,
            "churn_drill_rpo_seconds": self.rpo_seconds,
            "churn_drill_backup_timestamp_seconds": self.snapshot_at.timestamp(),
            "churn_drill_versions": sum(proof.loaded for proof in self.models),
        }

    def lines(self) -> list[str]:
        """For people."""
        stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())
        databases = ", ".join(f"{name} {rows} rows" for name, rows in self.rows.items())
        return [
            f"Restore drill of {self.at:%Y-%m-%d %H:%M} UTC: proven",
            f"  backup      {self.postgres} with artifacts {self.artifacts}, from {self.source}",
            f"  databases   {databases}; counts, revisions and sequences as dumped",
            f"  artifacts   {self.files} files, {self.bytes} bytes, every sha256 as copied",
            *(f"  model       {proof.words}" for proof in self.models),
            f"  RTO         {self.rto_seconds:.1f} s measured ({stages})",
            f"  RPO         {self.rpo_seconds / 3600:.1f} h, by the gaps between the dumps there are",
        ]


def rpo(catalog: Catalog, now: datetime) -> timedelta:
    """The longest time between two dumps that follow one another, or since the newest."""
    times = [*(dump.snapshot_at for dump in catalog.postgres), now]
    return max((later - earlier for earlier, later in pairwise(times)), default=timedelta(0))


def drill(source: str, scratch: Path, backup: str, say: Say) -> Report:
    """Prove a backup; raises if it is not good.

    Raises:
        OpsError: what is wrong with it.
    """
    started = time.monotonic()
    work = scratch / "restored"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        with ThrowawayServer(work) as server:
            seconds = {"server": time.monotonic() - started}
            artifacts = work / "artifacts"
            options = RestoreOptions(
                source=source, backup=backup, server=server.conninfo, artifacts=str(artifacts), scratch=work
            )
            result = restore(options, say)
            loading = time.monotonic()
            models = prove(result.pair.postgres.versions, artifacts)
        seconds |= result.seconds | {"models": time.monotonic() - loading}
    finally:
        shutil.rmtree(work, ignore_errors=True)
    dump, copied, now = result.pair.postgres, result.pair.artifacts, datetime.now(UTC)
    assert copied is not None  # noqa: S101 - there were artifacts to restore
    return Report(
        at=now,
        source=source,
        postgres=dump.id,
        artifacts=copied.id,
        snapshot_at=dump.snapshot_at,
        server_version=dump.server_version,
        seconds=seconds,
        rto_seconds=time.monotonic() - started,
        rpo_seconds=rpo(Catalog(open_store(source)), now).total_seconds(),
        rows={database.name: sum(database.rows.values()) for database in dump.databases},
        revisions={database.name: database.revisions for database in dump.databases},
        files=copied.count,
        bytes=copied.bytes,
        models=models,
    )


def write(report: Report, folder: Path) -> Path:
    """Keep a report, under its date."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"drill-{report.at:%Y%m%dT%H%M%SZ}.json"
    document: dict[str, Any] = asdict(report)
    path.write_text(json.dumps(document, default=str, indent=1) + "\n", encoding="utf-8")
    return path


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m ops.backup.drill",
        description="Prove the newest backup by a restore into a throwaway server.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--from", dest="source", required=True, metavar="FOLDER", help="where backups are kept")
    made.add_argument("--remote", metavar="S3", help="s3://bucket[/prefix]: prove the copy there instead")
    made.add_argument("--scratch", type=Path, required=True, metavar="FOLDER", help="room for all of it")
    made.add_argument("--backup", default=LATEST, metavar="ID", help="(%(default)s)")
    made.add_argument("--reports", type=Path, metavar="FOLDER", help="where a dated report is kept, besides the log")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a drill; returns the exit code."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, stop)
    return run(options.remote or options.source, options.scratch, options.backup, options.reports, print)


def run(source: str, scratch: Path, backup: str, reports: Path | None, say: Say) -> int:
    """A drill with its report and figures; returns the exit code."""
    figures: dict[str, float] = {"churn_drill_success": 0}
    try:
        report = drill(source, scratch, backup, say)
        figures = report.figures()
        for line in report.lines():
            say(line)
        if reports is not None:
            say(f"report: {write(report, reports)}")
        code = 0
    except (OSError, OpsError) as error:
        message, code = told(error)
        print(f"Error: the backup is not proven: {message}", file=sys.stderr)
    finally:
        figures["churn_drill_last_run_timestamp_seconds"] = time.time()
        push(os.environ.get("PUSHGATEWAY_URL"), JOB, figures)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
