"""``churn cost``: what a month costs, and prices from AWS' price list."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant

from __future__ import annotations

from typing import Annotated

import typer

from ops.cli.options import HELP_STYLE, Json
from ops.cli.render import require_program
from ops.console import Output
from ops.errors import RefusedError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=HELP_STYLE)


@app.callback()
def cost() -> None:
    """Estimate what a month costs, with prices from AWS' price list.

    Example: churn cost refresh --check
    """


@app.command()
def refresh(
    *,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit with 1 if a price has changed.")] = False,
    as_json: Json = False,
) -> None:
    """Read the prices from AWS' price list, and write infra/prices.json.

    Needs AWS' credentials with the right `pricing:GetProducts`, and the network, for half a minute. A price that the
    list does not have, or has more than once, stays as it is and is named.

    Example: churn cost refresh
    """
    require_program()
    import boto3

    from infra.prices import FILE, TABLE
    from ops.stack import cost_refresh

    output = Output(as_json=as_json)
    client = boto3.client("pricing", region_name=cost_refresh.API_REGION)
    with output.waiting(f"Asking for {len(TABLE['fields'])} prices"):
        result = cost_refresh.refreshed(client, TABLE)
    if check and result.changes:
        raise RefusedError("\n".join([f"{FILE.name} is out of date, run `churn cost refresh`:", *result.changes]))
    if not check:
        cost_refresh.write(FILE, result.table)

    def words() -> None:
        for line in [*result.changes, *result.problems]:
            output.say(line)
        output.say(f"{len(result.changes)} prices changed, {len(result.problems)} stay as they were.")
        if result.changes and not check:
            output.say("Write the estimate anew: python -m ops.stack.cost --write")

    output.result({"changed": result.changes, "unchanged": result.problems, "as_of": result.table["as_of"]}, words)
