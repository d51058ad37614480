"""The ``churn`` command. Each command imports what it needs when it runs, so that ``--help`` is instant."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant
from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path
from typing import Annotated, Final

import typer
from typer.exceptions import TyperException

from app import __version__
from app.names import MODEL_NAME
from ops.cli import aliases as alias_commands
from ops.cli import aws as aws_commands
from ops.cli import backup as backup_commands
from ops.cli import cluster as cluster_commands
from ops.cli import contract as contract_commands
from ops.cli import cost as cost_commands
from ops.cli import dashboards as dashboards_commands
from ops.cli import data as data_commands
from ops.cli import doctor as doctor_command
from ops.cli import failures
from ops.cli import images as images_commands
from ops.cli import rds as rds_commands
from ops.cli import receivers as receivers_command
from ops.cli import register as register_command
from ops.cli import render as render_commands
from ops.cli import restore as restore_commands
from ops.cli import score as score_command
from ops.cli import serve as serve_command
from ops.cli import train as train_command
from ops.cli.options import HELP_STYLE, Json, Models, model_names
from ops.console import Output, print_error, print_json
from ops.local.defaults import API_PORT, MLFLOW_PORT, SAMPLE_ROWS

DEBUG: Final = "--debug"
STARTED: Final = time.monotonic()
"""Taken here, so that the seconds that are shown include the time of the imports."""

app = typer.Typer(
    name="churn",
    no_args_is_help=True,
    rich_markup_mode=HELP_STYLE,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Port = Annotated[
    int, typer.Option(envvar="PORT", min=1, max=65535, help="Port of the API; if it is in use, the next free one.")
]
MlflowPort = Annotated[
    int,
    typer.Option(envvar="MLFLOW_PORT", min=1, max=65535, help="Port of MLflow; if it is in use, the next free one."),
]
Rows = Annotated[
    int,
    typer.Option(envvar="CHURN_SAMPLE_ROWS", min=500, help="Customers in the sample data, if it does not exist yet."),
]
ContractFile = Annotated[
    Path | None,
    typer.Option(
        "--contract",
        envvar="CONTRACT",
        metavar="FILE",
        help="Contract of the customers. Default: that of the model in production; at first, that of the Telco data.",
    ),
]


def _show_version(show: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if show:
        typer.echo(f"churn {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    debug: Annotated[bool, typer.Option(DEBUG, help="Show the full traceback of an error.")] = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Churn prediction on one machine: data, training, registry and serving.

    Start with 'churn demo' (one prediction, then everything stops) or 'churn up' (stays until Ctrl-C).

    Everything is kept in one folder: $CHURN_HOME, or .churn in the current folder.

    Exit codes: 0 done; 1 failed, refused by a gate, or worth another try; 2 a person must act: bad data, bad usage, or
    a wrong configuration.
    """


def up(
    *,
    port: Port = API_PORT,
    mlflow_port: MlflowPort = MLFLOW_PORT,
    rows: Rows = SAMPLE_ROWS,
    contract: ContractFile = None,
    models: Models = MODEL_NAME,
) -> None:
    """Train, register and serve on this machine, until Ctrl-C.

    The first start makes sample data, trains, registers the model in MLflow and promotes it. Later starts serve the
    model in production. Logs are in .churn/logs. Of several models, only the first is trained here; `churn train
    --model-name NAME --promote` adds another, which the API then serves at /v1/models/NAME/predict.

    Example: churn up --contract contracts/bank.yaml --port 8080
    """
    from ops.local import up as local
    from ops.local.embedded import UpOptions

    options = UpOptions(
        port=port,
        mlflow_port=mlflow_port,
        rows=rows,
        contract_file=contract,
        models=model_names(models),
        started=STARTED,
    )
    local.up(options, Output())


def demo(
    *,
    port: Port = API_PORT,
    mlflow_port: MlflowPort = MLFLOW_PORT,
    rows: Rows = SAMPLE_ROWS,
    contract: ContractFile = None,
    as_json: Json = False,
) -> None:
    """Start the same platform, make one prediction, and stop everything.

    Example: churn demo --json
    """
    from ops.local import up as local
    from ops.local.embedded import UpOptions

    options = UpOptions(port=port, mlflow_port=mlflow_port, rows=rows, contract_file=contract, started=STARTED)
    local.demo(options, Output(as_json=as_json))


def key(
    client: Annotated[str, typer.Argument(help="Name of the client: lower-case letters, digits and dashes.")],
    *,
    scope: Annotated[list[str] | None, typer.Option(help="'predict' or 'admin'; repeatable.")] = None,
    as_json: Json = False,
) -> None:
    """Make an API key, and an entry with its hash for the key file.

    The key is shown once and stored nowhere. Put the entry into the "keys" list of the file that API_KEYS_FILE names;
    a running API accepts the key within a second or two. To rotate a key, put both hashes into the client's "sha256"
    list.

    Example: churn key web-shop --scope predict
    """
    from pydantic import ValidationError

    from app.security import KeyEntry, new_key

    api_key, digest = new_key(client)
    try:
        entry = KeyEntry.model_validate({"id": client, "sha256": [digest], "scopes": scope or ["predict"]})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise typer.BadParameter(f"{first['input']!r}: {first['msg']}") from None
    output = Output(as_json=as_json)
    line = entry.model_dump(mode="json", exclude_none=True)
    output.result(
        {"key": api_key, "entry": line},
        lambda: output.pairs([("Key", api_key), ("Entry", entry.model_dump_json(exclude_none=True))]),
    )


for command in (
    up,
    demo,
    train_command.train,
    register_command.register,
    alias_commands.promote,
    alias_commands.rollback,
    alias_commands.history,
    score_command.score,
    key,
    doctor_command.doctor,
    receivers_command.receivers,
    render_commands.render,
    restore_commands.restore,
    restore_commands.drill,
):
    app.command()(command)
app.command(cls=serve_command.ServeCommand)(serve_command.serve)
app.add_typer(cluster_commands.app, name="cluster")
app.add_typer(contract_commands.app, name="contract")
app.add_typer(cost_commands.app, name="cost")
app.add_typer(data_commands.app, name="data")
app.add_typer(dashboards_commands.app, name="dashboards")
app.add_typer(images_commands.app, name="images")
app.add_typer(backup_commands.app, name="backup")
app.add_typer(rds_commands.app, name="rds")
app.add_typer(aws_commands.app, name="aws")


def _keep_loopback_direct() -> None:
    """Bypass any proxy of the environment between our own processes, those of our children included."""
    inherited = os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(filter(None, [inherited, "127.0.0.1", "localhost"]))


def main() -> None:
    """Run the command line; an error is shown as one message, with a traceback only if --debug asks for it."""
    _keep_loopback_direct()
    arguments = sys.argv[1:]
    try:
        if failures.JSON in arguments:
            _run_for_a_program()
        else:
            app()
    except Exception as error:  # noqa: BLE001 - the last place that can turn an error into a message
        if DEBUG in arguments or os.environ.get("CHURN_DEBUG"):
            traceback.print_exc()
        raise SystemExit(failures.tell(error, arguments)) from None


def _run_for_a_program() -> None:
    """Run the command line, and report wrong usage in JSON too."""
    try:
        code = app(standalone_mode=False)
    except TyperException as error:
        print_json(failures.as_json(error.format_message(), error.exit_code))
        print_error(error.format_message())
        raise SystemExit(error.exit_code) from None
    raise SystemExit(code if isinstance(code, int) else 0)
