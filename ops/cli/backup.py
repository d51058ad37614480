"""``churn backup``: for people, and for the jobs of the cluster."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant
from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.backup.options import (
    KEEP_DAYS,
    KEEP_UPLOADED_DAYS,
    LATEST,
    ArtifactsOptions,
    BackupOptions,
    PostgresOptions,
)
from ops.cli.options import HELP_STYLE, Json
from ops.console import Output, print_error
from ops.errors import ExitCode

if TYPE_CHECKING:
    from ops.backup.manifest import Broken, Manifest

app = typer.Typer(
    name="backup",
    help="Make, list and verify backups.\n\nExample: churn backup list --from /var/lib/backups",
    no_args_is_help=True,
    rich_markup_mode=HELP_STYLE,
)
From = Annotated[
    str,
    typer.Option("--from", envvar="CHURN_BACKUPS", help="Where the backups are: a folder, or s3://bucket[/prefix]."),
]
Id = Annotated[str, typer.Option("--backup", help="Id of a dump or of artifacts; 'latest' is the newest.")]
AsOf = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"],
        help="Read a bucket as it was at this time (UTC), whatever was overwritten, hidden or added since.",
    ),
]
Service = Annotated[
    str, typer.Option(help="Service of the file that PGSERVICEFILE names, or a libpq connection string.")
]
Databases = Annotated[list[str], typer.Option("--database", help="Database to dump; may be repeated.")]
To = Annotated[Path, typer.Option(help="Folder of the backups.")]
KeepDays = Annotated[int, typer.Option(min=1, help="Days to keep backups in the folder.")]
Upload = Annotated[str | None, typer.Option(help="s3://bucket[/prefix] that gets a copy.")]
KeepUploaded = Annotated[int, typer.Option("--keep-uploaded", min=1, help="Days to keep backups in the bucket.")]


def utc(moment: datetime | None) -> datetime | None:
    """Return a time of the command line, which has no time zone, as one of UTC."""
    return None if moment is None else moment.replace(tzinfo=UTC)


@app.command("list")
def list_backups(*, source: From, as_of: AsOf = None, as_json: Json = False) -> None:
    """Show every finished backup, the oldest first, and which dump artifacts are tied to.

    Backups that cannot be read are listed too; if there is one, the exit code is 1.

    Example: churn backup list --from /var/lib/backups
    """
    from ops.backup.catalog import Catalog
    from ops.backup.storage import open_backups

    output, catalog = Output(as_json=as_json), Catalog(open_backups(source, utc(as_of)))
    rows = [_row(manifest) for manifest in sorted(catalog.all, key=lambda manifest: manifest.sequence)]
    data: list[dict[str, Any]] = [manifest.model_dump(mode="json") for manifest in catalog.all]
    output.result(data, lambda: output.table(("Id", "Kind", "Finished (UTC)", "Bytes", "Content"), rows))
    for unreadable in catalog.unreadable:
        output.say(f"cannot be read: {unreadable.key}: {unreadable.why}", "red")
    if catalog.unreadable:
        raise typer.Exit(ExitCode.FAILED)


def _row(manifest: Manifest) -> tuple[str, ...]:
    from ops.backup.manifest import ArtifactsManifest

    size = sum(file.bytes for file in manifest.files.values())
    if isinstance(manifest, ArtifactsManifest):
        content = f"{manifest.count} files, tied to {manifest.database.id}"
        content += f"; {len(manifest.broken)} versions BROKEN" if manifest.broken else ""
        size += manifest.bytes
    else:
        databases = ", ".join(database.name for database in manifest.databases)
        content = f"{databases}, PostgreSQL {manifest.server_version}"
    return manifest.id, manifest.kind, f"{manifest.finished_at:%Y-%m-%d %H:%M:%S}", str(size), content


@app.command()
def verify(*, source: From, backup: Id = LATEST, as_of: AsOf = None, as_json: Json = False) -> None:
    """Read a whole backup: compare every file and artifact with its sha256, and read every dump to its end.

    Every problem is listed; if there is one, the exit code is 1.

    Example: churn backup verify --from s3://churn-prod-backups
    """
    from ops.backup.catalog import Catalog
    from ops.backup.storage import open_backups
    from ops.backup.verify import verify as check

    output, storage = Output(as_json=as_json), open_backups(source, utc(as_of))
    pair = Catalog(storage).pair(backup)
    with tempfile.TemporaryDirectory(prefix="churn-verify-") as scratch:
        checked = check(storage, pair, Path(scratch))
    problems = [*checked.problems, *checked.broken]
    artifacts = pair.artifacts.id if pair.artifacts else None
    data = {"postgres": pair.postgres.id, "artifacts": artifacts, "files": checked.files, "bytes": checked.bytes}

    def words() -> None:
        parts = f" with artifacts {artifacts}" if artifacts else ", without artifacts yet,"
        verdict = f"DAMAGED, {len(problems)} problems" if problems else "whole"
        output.say(f"{pair.postgres.id}{parts} is {verdict}: {checked.files} files, {checked.bytes} bytes read")
        for problem in problems:
            output.say(f"  {problem}", "red")

    output.result(data | {"problems": problems}, words)
    if problems:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def postgres(
    *,
    service: Service,
    database: Databases,
    to: To,
    wait: Annotated[int, typer.Option(min=0, help="Seconds that the server may take to answer at first.")] = 0,
    keep_days: KeepDays = KEEP_DAYS,
    upload: Upload = None,
    keep_uploaded: KeepUploaded = KEEP_UPLOADED_DAYS,
) -> None:
    """Dump databases and roles as one set.

    The dump is written under a temporary name, read back, made visible and uploaded; only then are old backups deleted.
    A failure leaves everything as it was. The outcome is pushed to the pushgateway at PUSHGATEWAY_URL, if that is set.

    Example: churn backup postgres --service churn --database mlflow --to /var/lib/backups
    """
    _back_up(
        [
            PostgresOptions(
                service=service,
                databases=tuple(database),
                to=to,
                wait_seconds=wait,
                keep_days=keep_days,
                upload=upload,
                keep_uploaded_days=keep_uploaded,
            )
        ],
        Output().say,
    )


@app.command()
def artifacts(
    *,
    source: Annotated[str, typer.Option("--from", help="MLflow's artifacts: a folder, or s3://bucket/prefix.")],
    to: To,
    keep_days: KeepDays = KEEP_DAYS,
    upload: Upload = None,
    keep_uploaded: KeepUploaded = KEEP_UPLOADED_DAYS,
) -> None:
    """Copy the artifacts that are new or have changed, and tie them to the newest dump.

    As with a dump, a failure leaves everything as it was. Exit code 2 if a registered model lacks artifacts.

    Example: churn backup artifacts --from /var/lib/artifacts --to /var/lib/backups
    """
    options = ArtifactsOptions(
        source=source, to=to, keep_days=keep_days, upload=upload, keep_uploaded_days=keep_uploaded
    )
    _back_up([options], Output().say)


@app.command()
def expire(
    *,
    source: Annotated[str, typer.Option("--from", envvar="CHURN_BACKUPS", help="s3://bucket[/prefix] with backups.")],
    keep_days: Annotated[int, typer.Option(min=1, help="Days to keep backups in the bucket.")] = KEEP_UPLOADED_DAYS,
) -> None:
    """Mark backups of a bucket that have expired, so that its lifecycle may delete them.

    Run it with other rights than those that write backups: docs/dr.md has them. Nothing is deleted here.

    Example: churn backup expire --from s3://churn-prod-backups
    """
    from ops.backup.expiry import expire as mark
    from ops.backup.job import clear_errors

    output = Output()
    with clear_errors():
        marked = mark(source, keep_days=keep_days, say=output.say)
    output.say(f"{marked} files of {source} are marked as expired")


@app.command()
def create(
    *,
    service: Service,
    database: Databases,
    artifacts: Annotated[str, typer.Option(help="MLflow's artifacts: a folder, or s3://bucket/prefix.")],
    to: To,
    upload: Upload = None,
    keep_days: KeepDays = KEEP_DAYS,
    as_json: Json = False,
) -> None:
    """Back up the databases, and then the artifacts, as the two jobs of the cluster do.

    Example: churn backup create --service churn --database mlflow --artifacts mlruns --to backups
    """
    output = Output(as_json=as_json)
    dump = PostgresOptions(service=service, databases=tuple(database), to=to, upload=upload, keep_days=keep_days)
    copy = ArtifactsOptions(source=artifacts, to=to, upload=upload, keep_days=keep_days)

    def show(manifests: Iterable[Manifest]) -> None:
        output.result([manifest.model_dump(mode="json") for manifest in manifests], lambda: None)

    _back_up([dump, copy], output.say, show)


def _back_up(
    parts: Iterable[BackupOptions],
    say: Callable[[str], None],
    show: Callable[[list[Manifest]], None] = lambda _: None,
) -> None:
    """Make backups one after the other, show their manifests, and fail if a registered model lacks artifacts."""
    from ops.backup import job

    outcomes = [job.backup(options, say) for options in parts]
    show([outcome.manifest for outcome in outcomes])
    broken: list[Broken] = [version for outcome in outcomes for version in outcome.broken]
    for version in broken:
        print_error(f"model {version.model} version {version.version}: {version.why}")
    if broken:
        raise typer.Exit(ExitCode.BAD_INPUT)
