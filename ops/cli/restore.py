"""``churn restore`` and ``churn drill``: what backups are made for, and the proof that it works."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant
from __future__ import annotations

import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from ops.backup.options import LATEST, DrillOptions, RestoreOptions
from ops.cli.backup import AsOf, From, Id, utc
from ops.cli.options import Json
from ops.console import Output


def restore(
    *,
    source: From,
    backup: Id = LATEST,
    as_of: AsOf = None,
    to: Annotated[
        str | None,
        typer.Option(help="Server: a service of PGSERVICEFILE, or a connection string. [default: no databases]"),
    ] = None,
    login: Annotated[
        Path | None, typer.Option(help="Folder with username and password; --to then has host, port and sslmode.")
    ] = None,
    wait: Annotated[int, typer.Option(min=0, help="Seconds that the server may take to answer at first.")] = 0,
    artifacts_to: Annotated[
        str | None, typer.Option(help="Folder or s3://bucket/prefix for the artifacts. [default: no artifacts]")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what is there now.")] = False,
    accept_broken: Annotated[
        bool, typer.Option("--accept-broken", help="Restore even if versions lacked artifacts when they were copied.")
    ] = False,
    scratch: Annotated[
        Path | None, typer.Option(help="Folder for downloads from a bucket. [default: the temporary folder]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Restore databases and artifacts of a backup.

    The backup is checked first, restored under a temporary name, compared with what was dumped, and only then renamed
    into place. A target that is not empty is refused; with --replace, what is there now stays under another name.

    Example: churn restore --from /var/lib/backups --to superuser --artifacts-to /var/lib/artifacts
    """
    from ops.backup import job
    from ops.errors import OpsError
    from ops.jobs.logins import logged_in

    if login is not None and (to is None or "=" not in to):
        raise OpsError("--login needs --to with the server's address, such as --to 'host=postgres sslmode=disable'")
    output = Output(as_json=as_json)
    with nullcontext(to) if login is None or to is None else logged_in(to, login) as server:
        options = RestoreOptions(
            source=source,
            as_of=utc(as_of),
            backup=backup,
            server=server,
            artifacts=artifacts_to,
            replace=replace,
            accept_broken=accept_broken,
            scratch=scratch,
            wait_seconds=wait,
        )
        result = job.restore(options, output.say)
    before = {restored.database.name: restored.before for restored in result.databases}
    data = {"postgres": result.pair.postgres.id, "kept": before, "artifacts_kept": result.artifacts_before}
    output.result(data | {"seconds": result.seconds}, lambda: None)


def drill(
    *,
    source: From,
    remote: Annotated[
        str | None,
        typer.Option(metavar="S3", help="s3://bucket[/prefix]: prove the copy there instead."),
    ] = None,
    scratch: Annotated[
        Path | None, typer.Option(help="Folder with room for everything. [default: the temporary folder]")
    ] = None,
    backup: Id = LATEST,
    reports: Annotated[Path | None, typer.Option(help="Folder that keeps a dated report.")] = None,
) -> None:
    """Prove a backup: restore it into a throwaway PostgreSQL, and load every model from it.

    Nothing of the live platform is touched. The report has the measured recovery time (RTO), and the most that could
    have been lost (RPO). PostgreSQL refuses to run for root, so root cannot run a drill.

    Example: churn drill --from /var/lib/backups --reports drills
    """
    from ops.backup import drill as drills

    with tempfile.TemporaryDirectory(prefix="churn-drill-", dir=scratch) as work:
        options = DrillOptions(source=remote or source, scratch=Path(work), backup=backup, reports=reports)
        drills.run(options, Output().say)
