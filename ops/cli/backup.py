"""``churn backup``, ``churn restore`` and ``churn drill``: what the jobs of the cluster do, by hand."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant
from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.cli.options import HELP_STYLE, Json
from ops.console import Output

app = typer.Typer(
    name="backup",
    help="Make backups, list them, read one whole.\n\nExample: churn backup list --from /var/lib/backups",
    no_args_is_help=True,
    rich_markup_mode=HELP_STYLE,
)
From = Annotated[
    str, typer.Option("--from", envvar="CHURN_BACKUPS", help="Where backups are: a folder, or s3://bucket[/prefix].")
]
Id = Annotated[str, typer.Option("--backup", help="Id of a dump or of artifacts; 'latest' is the newest whole pair.")]


@app.command("list")
def list_backups(*, source: From, as_json: Json = False) -> None:
    """Show every finished backup, the oldest first.

    Also which dump artifacts are tied to. What stands there and cannot be read is named, and the exit code is 1.

    Example: churn backup list --from /var/lib/backups
    """
    from ops.backup.catalog import Catalog
    from ops.backup.manifest import ArtifactsManifest
    from ops.backup.store import open_store

    output, catalog = Output(as_json=as_json), Catalog(open_store(source))
    rows = []
    for manifest in sorted(catalog.all, key=lambda manifest: manifest.sequence):
        size = sum(file.bytes for file in manifest.files.values())
        if isinstance(manifest, ArtifactsManifest):
            what = f"{manifest.count} files, tied to {manifest.database.id}"
            what += f"; {len(manifest.broken)} versions BROKEN" if manifest.broken else ""
            size += manifest.bytes
        else:
            what = (
                f"{', '.join(database.name for database in manifest.databases)}, PostgreSQL {manifest.server_version}"
            )
        rows.append((manifest.id, manifest.kind, f"{manifest.finished_at:%Y-%m-%d %H:%M:%S}", str(size), what))
    data: list[dict[str, Any]] = [manifest.model_dump(mode="json") for manifest in catalog.all]
    output.result(data, lambda: output.table(("Id", "Kind", "Finished (UTC)", "Bytes", "What"), rows))
    for unreadable in catalog.unreadable:
        output.say(f"not readable: {unreadable.key}: {unreadable.why}", "red")
    if catalog.unreadable:
        raise typer.Exit(1)


@app.command()
def verify(*, source: From, backup: Id = "latest", as_json: Json = False) -> None:
    """Read a backup whole: every file and artifact against its sha256, every dump to its end.

    Everything that is wrong with it is named, and the exit code is 1.

    Example: churn backup verify --from s3://churn-prod-backups
    """
    from ops.backup.catalog import Catalog
    from ops.backup.store import open_store
    from ops.backup.verify import verify as look

    output, store = Output(as_json=as_json), open_store(source)
    pair = Catalog(store).pair(backup)
    with tempfile.TemporaryDirectory(prefix="churn-verify-") as scratch:
        checked = look(store, pair, Path(scratch))
    wrong = [*checked.problems, *checked.broken]
    artifacts = pair.artifacts.id if pair.artifacts else None
    data = {"postgres": pair.postgres.id, "artifacts": artifacts, "files": checked.files, "bytes": checked.bytes}

    def words() -> None:
        with_them = f" with artifacts {artifacts}" if artifacts else ", without artifacts yet,"
        verdict = f"DAMAGED, {len(wrong)} problems" if wrong else "whole"
        output.say(f"{pair.postgres.id}{with_them} is {verdict}: {checked.files} files, {checked.bytes} bytes read")
        for problem in wrong:
            output.say(f"  {problem}", "red")

    output.result(data | {"problems": wrong}, words)
    if wrong:
        raise typer.Exit(1)


@app.command()
def create(
    *,
    service: Annotated[str, typer.Option(help="Service of the file that PGSERVICEFILE names.")],
    database: Annotated[list[str], typer.Option(help="Database to dump; may be repeated.")],
    artifacts: Annotated[str, typer.Option(help="MLflow's artifacts: a folder, or s3://bucket/prefix.")],
    to: Annotated[Path, typer.Option(help="Folder where backups are kept.")],
    upload: Annotated[str | None, typer.Option(help="s3://bucket[/prefix] that gets a copy.")] = None,
    keep_days: Annotated[int, typer.Option(min=1, help="In the folder.")] = 7,
    as_json: Json = False,
) -> None:
    """Back up the databases, then the artifacts.

    Exactly what the two jobs of the cluster do, one after the other. Old backups are deleted only once all went well.

    Example: churn backup create --service churn --database mlflow --artifacts mlruns --to backups
    """
    from ops.backup import run as backup_run
    from ops.backup.program import KEEP_UPLOADED

    output = Output(as_json=as_json)
    common = {"to": to, "upload": upload, "keep_days": keep_days, "keep_uploaded": KEEP_UPLOADED}
    made = [
        backup_run.run(argparse.Namespace(kind="postgres", service=service, database=database, **common), output.say),
        backup_run.run(argparse.Namespace(kind="artifacts", source=artifacts, **common), output.say),
    ]
    broken = [*made[1].broken]
    output.result([outcome.manifest.model_dump(mode="json") for outcome in made], lambda: None)
    for version in broken:
        output.say(f"model {version.model} version {version.version}: {version.why}", "red")
    if broken:
        raise typer.Exit(1)


def restore(
    *,
    source: From,
    backup: Id = "latest",
    to: Annotated[
        str | None,
        typer.Option(help="Service of PGSERVICEFILE, or connection string, of the server. [none: no databases]"),
    ] = None,
    artifacts_to: Annotated[
        str | None, typer.Option(help="Folder or s3://bucket/prefix of the artifacts. [none: no artifacts]")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of what is there.")] = False,
    accept_broken: Annotated[
        bool, typer.Option("--accept-broken", help="Even if model versions lacked artifacts when they were copied.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring databases and artifacts of a backup back.

    The backup is checked first, restored beside its place, compared with what was dumped, and then put there. A target
    that is not empty is refused; with --replace what is there is kept under another name.

    Example: churn restore --from /var/lib/backups --to superuser --artifacts-to /var/lib/artifacts
    """
    from ops.backup.restore import RestoreOptions
    from ops.backup.restore import restore as bring_back

    output = Output(as_json=as_json)
    options = RestoreOptions(
        source=source, backup=backup, server=to, artifacts=artifacts_to, replace=replace, accept_broken=accept_broken
    )
    result = bring_back(options, output.say)
    kept = {restored.database.name: restored.kept for restored in result.databases}
    data = {"postgres": result.pair.postgres.id, "kept": kept, "artifacts_kept": result.artifacts_kept}
    output.result(data | {"seconds": result.seconds}, lambda: None)


def drill(
    *,
    source: From,
    scratch: Annotated[Path | None, typer.Option(help="Room for all of it. [default: the temporary folder]")] = None,
    backup: Id = "latest",
    reports: Annotated[Path | None, typer.Option(help="Folder where a dated report is kept.")] = None,
) -> None:
    """Prove a backup: restore it into a throwaway PostgreSQL and load every model from it.

    Nothing of a live platform is touched. The report has the measured time of recovery (RTO) and the most that could
    have been lost (RPO). Not for root, as PostgreSQL refuses to run for it.

    Example: churn drill --from /var/lib/backups --reports drills
    """
    from ops.backup import drill as program

    with tempfile.TemporaryDirectory(prefix="churn-drill-", dir=scratch) as work:
        code = program.run(source, Path(work), backup, reports, Output().say)
    if code:
        raise typer.Exit(code)
