"""The restore drill.

The newest backup is restored into a throwaway PostgreSQL and a folder, compared with what was dumped, and every
registered model is loaded from it as the API would. Nothing of the live platform is touched.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from ops import metric_names
from ops.backup.catalog import Catalog
from ops.backup.drill_models import Proof, prove
from ops.backup.drill_server import ThrowawayServer
from ops.backup.job import GATEWAY, clear_errors
from ops.backup.options import DrillOptions, RestoreOptions
from ops.backup.restore import restore
from ops.backup.storage import open_backups
from ops.pushgateway import push
from ops.termination import exit_on_sigterm

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of a drill, for people and for a file."""

    at: datetime
    source: str
    postgres: str
    artifacts: str
    snapshot_at: datetime
    server_version: str
    seconds: dict[str, float]
    rto_seconds: float
    """From an empty scratch folder until the last model was loaded."""
    rpo_seconds: float
    """The longest time between two successive dumps, or since the newest: the most that could have been lost."""
    rows: dict[str, int]
    revisions: dict[str, dict[str, str]]
    files: int
    bytes: int
    models: list[Proof]

    def figures(self) -> dict[str, float]:
        """The values of the metrics."""
        return {
            metric_names.DRILL_SUCCESS: 1,
            metric_names.DRILL_LAST_SUCCESS: self.at.timestamp(),
            metric_names.DRILL_RTO: self.rto_seconds,
            metric_names.DRILL_RPO: self.rpo_seconds,
            metric_names.DRILL_BACKUP_TIME: self.snapshot_at.timestamp(),
            metric_names.DRILL_VERSIONS: sum(proof.loaded for proof in self.models),
        }

    def lines(self) -> list[str]:
        """The report as text."""
        stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())
        databases = ", ".join(f"{name} {rows} rows" for name, rows in self.rows.items())
        return [
            f"Restore drill of {self.at:%Y-%m-%d %H:%M} UTC: proven",
            f"  backup      {self.postgres} with artifacts {self.artifacts}, from {self.source}",
            f"  databases   {databases}; counts, revisions and sequences as dumped",
            f"  artifacts   {self.files} files, {self.bytes} bytes, every sha256 as copied",
            *(f"  model       {proof.words}" for proof in self.models),
            f"  RTO         {self.rto_seconds:.1f} s measured ({stages})",
            f"  RPO         {self.rpo_seconds / 3600:.1f} h, the longest gap between the existing dumps",
        ]


def rpo(catalog: Catalog, now: datetime) -> timedelta:
    """The longest time between two successive dumps, or since the newest."""
    times = [*(dump.snapshot_at for dump in catalog.postgres), now]
    return max((later - earlier for earlier, later in pairwise(times)), default=timedelta(0))


def drill(options: DrillOptions, say: Say) -> Report:
    """Restore a backup into the scratch folder, and load its models.

    Raises:
        OpsError: what is wrong with the backup.
    """
    started = time.monotonic()
    work = options.scratch / "restored"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        with ThrowawayServer(work) as server:
            seconds = {"server": time.monotonic() - started}
            artifacts = work / "artifacts"
            target = RestoreOptions(
                source=options.source,
                backup=options.backup,
                server=server.conninfo,
                artifacts=str(artifacts),
                scratch=work,
            )
            result = restore(target, say)
            loading = time.monotonic()
            models = prove(result.pair.postgres.versions, artifacts)
        seconds |= result.seconds | {"models": time.monotonic() - loading}
    finally:
        shutil.rmtree(work, ignore_errors=True)
    dump, copied, now = result.pair.postgres, result.pair.artifacts, datetime.now(UTC)
    assert copied is not None  # noqa: S101 - there were artifacts to restore
    return Report(
        at=now,
        source=options.source,
        postgres=dump.id,
        artifacts=copied.id,
        snapshot_at=dump.snapshot_at,
        server_version=dump.server_version,
        seconds=seconds,
        rto_seconds=time.monotonic() - started,
        rpo_seconds=rpo(Catalog(open_backups(options.source)), now).total_seconds(),
        rows={database.name: sum(database.rows.values()) for database in dump.databases},
        revisions={database.name: database.revisions for database in dump.databases},
        files=copied.count,
        bytes=copied.bytes,
        models=models,
    )


def write(report: Report, folder: Path) -> Path:
    """Write a report to a folder, in a file named by its date."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"drill-{report.at:%Y%m%dT%H%M%SZ}.json"
    document: dict[str, Any] = asdict(report)
    path.write_text(json.dumps(document, default=str, indent=1) + "\n", encoding="utf-8")
    return path


def run(options: DrillOptions, say: Say) -> None:
    """Prove a backup as `churn` and the job of the cluster do: with a report, and metrics whatever the outcome.

    Raises:
        OpsError: the backup is not proven.
    """
    exit_on_sigterm()
    figures = {metric_names.DRILL_SUCCESS: 0.0}
    try:
        with clear_errors("the backup is not proven: "):
            report = drill(options, say)
            figures = report.figures()
            for line in report.lines():
                say(line)
            if options.reports is not None:
                say(f"report: {write(report, options.reports)}")
    finally:
        figures[metric_names.DRILL_LAST_RUN] = time.time()
        push(os.environ.get(GATEWAY), "drill", figures)
