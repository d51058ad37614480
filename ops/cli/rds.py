"""``churn rds``: restores the database on AWS to a point in time, step by step."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant
from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from ops.cli.options import HELP_STYLE
from ops.console import Output

app = typer.Typer(
    name="rds",
    help="Restore the database on AWS to a point in time.\n\nExample: churn rds restore --instance churn-prod",
    no_args_is_help=True,
    rich_markup_mode=HELP_STYLE,
)
Instance = Annotated[str, typer.Option(help="Name of the database instance that the platform uses.")]


@app.command()
def restore(
    *,
    instance: Instance,
    at: Annotated[str, typer.Option(help="Time with its zone, such as 2026-01-31T13:45:00Z, or 'latest'.")] = "latest",
) -> None:
    """Create a second instance from a point in time; the first is not touched.

    It is called <instance>-restored, and has the size, network and parameters of the first. Check it, then switch.

    Example: churn rds restore --instance churn-prod --at 2026-01-31T13:45:00Z
    """
    from ops.stack.rds import Rds, moment

    output = Output()
    name = Rds.connect(instance, output.say).restore(moment(at))
    output.say(f"{name} is available: check it, then run 'churn rds switch --instance {instance}'", "green")


@app.command()
def switch(*, instance: Instance) -> None:
    """Give the restored instance the name of the first.

    The address follows the name, so clients reconnect to the restored database by themselves
    after a few minutes of downtime.
    The first instance is kept as <instance>-replaced.

    Example: churn rds switch --instance churn-prod
    """
    from ops.stack.rds import Rds

    Rds.connect(instance, Output().say).switch()


@app.command("clean-up")
def clean_up(*, instance: Instance) -> None:
    """Delete the replaced instance, after a final snapshot of it.

    Example: churn rds clean-up --instance churn-prod
    """
    from ops.stack.rds import Rds

    Rds.connect(instance, Output().say).clean_up(datetime.now(UTC))
