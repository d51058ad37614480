"""``churn cluster restore``: a restore as a job in the cluster."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from ops.console import Output


class Part(StrEnum):
    """What a restore puts back."""

    DATABASES = "databases"
    ARTIFACTS = "artifacts"
    LOGINS = "logins"


def restore(
    *,
    part: Annotated[
        Part,
        typer.Argument(help="'databases' sets all passwords too; 'logins' does nothing else.", show_default=False),
    ],
    backup: Annotated[str | None, typer.Option(help="Id of a dump or of artifacts. [default: the newest]")] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="S3", help="s3://bucket[/prefix] with backups. [default: the backups' volume]"),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Read the bucket as it was then (UTC, 2026-01-31T02:00:00). [default: now]"),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what is there now.")] = False,
    accept_broken: Annotated[
        bool, typer.Option("--accept-broken", help="Restore even if versions lacked artifacts when they were copied.")
    ] = False,
    context: Annotated[str | None, typer.Option(help="Context of kubectl. [default: the current one]")] = None,
) -> None:
    """Restore a backup in the cluster, by a job that has the volumes and the logins for it.

    Stop MLflow and Grafana first; docs/dr.md has every step. Waits until the job ends, and repeats its log. A target
    that is not empty is refused; with --replace, what is there now stays under another name.

    Example: churn cluster restore databases --context kind-churn
    """
    from ops.stack import cluster_restore

    options = cluster_restore.Options(
        part=part.value,
        backup=backup,
        source=source,
        as_of=as_of,
        replace=replace,
        accept_broken=accept_broken,
        context=context,
    )
    cluster_restore.restore(options, Output().say)
