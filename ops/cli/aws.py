"""``churn aws``: looks into an AWS account."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant
from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ops.cli.options import HELP_STYLE, Json
from ops.cli.render import require_program
from ops.console import Output
from ops.errors import ExitCode

app = typer.Typer(
    name="aws",
    help="Look into an AWS account.\n\nExample: churn aws preflight --stack staging",
    no_args_is_help=True,
    rich_markup_mode=HELP_STYLE,
)


@app.callback()
def group() -> None:
    """Look into an AWS account."""


@app.command()
def preflight(
    *,
    stack: Annotated[str, typer.Option(help="Stack on AWS whose needs are compared with the account.")],
    as_json: Json = False,
) -> None:
    """Ask the account what 'pulumi up' would stumble over, and change nothing.

    Values: placeholders in the stack's file, the account's number, the zones. Quotas: processors on demand and spot,
    addresses, networks, functions. What AWS offers: the cluster's version, each add-on's build, PostgreSQL's version,
    class and parameters. And what must be there before: the boundary, the domain's delegation, access entries.

    The credentials and the region are those of the AWS command line; the rights to read are enough. Each line names the
    value and the remedy. What may not be read is a warning.

    Exit code: 0 without errors (warnings do not count); 2 if the stack could not come up.

    Example: churn aws preflight --stack staging
    """
    require_program()
    from ops.stack.checkout import ROOT
    from ops.stack.doctor import line
    from ops.stack.doctor_checks import Level
    from ops.stack.preflight import ask

    output = Output(as_json=as_json)
    with output.waiting("Asking AWS"):
        findings = list(ask(stack, ROOT))
    styles = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}

    def words() -> None:
        for finding in findings:
            output.say(line(finding), styles[finding.level])

    output.result([asdict(finding) for finding in findings], words)
    if any(finding.level == Level.ERROR for finding in findings):
        raise typer.Exit(ExitCode.BAD_INPUT)
