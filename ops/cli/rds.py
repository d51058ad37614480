"""``churn rds``: restores the database on AWS to a point in time, and fetches what clients verify it with."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant
from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.options import HELP_STYLE
from ops.console import Output

if TYPE_CHECKING:
    from ops.stack.rds import Rds

app = typer.Typer(
    name="rds",
    help="Restore the database on AWS to a point in time, and fetch its certificates.\n\n"
    "Example: churn rds restore --instance churn-prod",
    no_args_is_help=True,
    rich_markup_mode=HELP_STYLE,
)
Stack = Annotated[str, typer.Option(help="Stack whose database it is.")]
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
    output.say(f"{name} is available: check it, then run 'churn rds switch --instance {instance} --stack ...'", "green")


@app.command()
def switch(*, instance: Instance, stack: Stack) -> None:
    """Give the restored instance the name of the first, in RDS and in the state of the stack.

    The address follows the name, so clients reconnect to the restored database by themselves
    after a few minutes of downtime.
    The first instance is kept as <instance>-replaced.

    Example: churn rds switch --instance churn-prod --stack prod
    """
    from ops.stack.rds import Rds

    output = Output()
    rds = Rds.connect(instance, output.say)
    rds.switch()
    _adopt(rds, stack, output)


@app.command()
def adopt(*, instance: Instance, stack: Stack) -> None:
    """Tell the state of a stack which instance has the name now: the last step of a switch.

    It is for a switch that ended before it, such as without a login at Pulumi's backend. Until then, no 'pulumi
    refresh' and no 'pulumi up': they would act on the replaced instance.

    Example: churn rds adopt --instance churn-prod --stack prod
    """
    from ops.stack.rds import Rds

    output = Output()
    _adopt(Rds.connect(instance, output.say), stack, output)


def _adopt(rds: Rds, stack: str, output: Output) -> None:
    from ops.errors import OpsError
    from ops.stack.checkout import ROOT
    from ops.stack.rds_state import adopt as adopt_in_state
    from ops.stack.rds_state import pulumi

    resource_id = rds.resource_id()
    try:
        changed = adopt_in_state(pulumi(ROOT), stack, rds.name, resource_id)
    except OpsError as error:
        raise OpsError(
            f"{error}\nRDS has switched, the state of {stack} has not: mend this, and before anything else run "
            f"'churn rds adopt --instance {rds.name} --stack {stack}'"
        ) from None
    output.say(f"the state of {stack} {'now has' if changed else 'has'} {rds.name} as {resource_id}", "green")


@app.command()
def certificates(
    *,
    region: Annotated[str, typer.Option(help="Region of the stack, such as eu-central-1.")],
) -> None:
    """Fetch the certificates with which clients verify RDS in a region.

    They become a file in the folder infra/rds_certificates. Review it and commit it: 'pulumi up' puts it into the
    secrets of the logins. Fetch it again when AWS announces a new authority.

    Example: churn rds certificates --region eu-central-1
    """
    from infra.trust import path
    from ops.stack.rds_certificates import save

    Output().say(save(region, path(region)), "green")


@app.command("clean-up")
def clean_up(*, instance: Instance) -> None:
    """Delete the replaced instance, after a final snapshot of it.

    Example: churn rds clean-up --instance churn-prod
    """
    from ops.stack.rds import Rds

    Rds.connect(instance, Output().say).clean_up(datetime.now(UTC))
