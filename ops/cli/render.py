"""``churn render``."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from ops.cli.options import Json
from ops.console import Output
from ops.errors import OpsError


def require_program() -> None:
    """Check that the stacks' program can be loaded.

    Raises:
        OpsError: its packages are not installed; serving and training do not need them.
    """
    if find_spec("pulumi") is None:
        raise OpsError("the packages of the stacks' program are not installed: run `make infra` in a checkout")


def render(
    *,
    stack: Annotated[str, typer.Option(help="'dev', 'staging', 'prod' or 'all'.")],
    out: Annotated[Path, typer.Option(help="Folder to write to: new, empty, or written by an earlier render.")],
    as_json: Json = False,
) -> None:
    """Write everything that 'pulumi up' would create to files, offline.

    No account, cluster or network is needed. Kubernetes objects are YAML, everything else is JSON; secrets are masked.
    The order is stable, so that the folders of two revisions can be compared with diff.

    Example: churn render --stack dev --out rendered
    """
    require_program()
    from ops.stack.checkout import ROOT
    from ops.stack.render import check_target, write
    from ops.stack.render import render as run

    output = Output(as_json=as_json)
    check_target(out)
    with output.waiting(f"Building the objects of {stack}"):
        stacks = run(stack, ROOT)
    write(out, stacks)
    for rendered in stacks:
        for note in rendered.notes:
            typer.secho(f"Note: {note}", err=True, fg=typer.colors.YELLOW)
    output.result(
        {rendered.stack: {"objects": rendered.objects, "files": len(rendered.files)} for rendered in stacks},
        lambda: output.pairs(
            [
                (rendered.stack, f"{rendered.objects} Kubernetes objects in {out / rendered.stack}")
                for rendered in stacks
            ]
        ),
    )
