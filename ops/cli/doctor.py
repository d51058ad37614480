"""``churn doctor``."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ops.cli.options import Json
from ops.cli.render import require_program
from ops.console import Output
from ops.errors import ExitCode


def doctor(
    *,
    stack: Annotated[str, typer.Option(help="Stack whose needs are compared with the cluster.")] = "dev",
    context: Annotated[str, typer.Option(help="Context of kubectl. Default: the current one.")] = "",
    as_json: Json = False,
) -> None:
    """Examine a cluster before `pulumi up`, and change nothing.

    Checks that it answers and has room, its storage, network policies, metrics, architecture and ports; for a stack on
    AWS also that a KMS key encrypts the state and that no passphrase is set, which would take its place. Each line says
    what to do. Exit code: 0 without errors (warnings do not count); 2 if the stack could not come up.

    Example: churn doctor --context kind-churn
    """
    require_program()
    from ops.stack.checkout import ROOT
    from ops.stack.doctor import diagnose, line
    from ops.stack.doctor_checks import Level

    output = Output(as_json=as_json)
    findings = diagnose(context, stack, ROOT)
    styles = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}

    def words() -> None:
        for finding in findings:
            output.say(line(finding), styles[finding.level])

    output.result([asdict(finding) for finding in findings], words)
    if any(finding.level == Level.ERROR for finding in findings):
        raise typer.Exit(ExitCode.BAD_INPUT)
