"""Commands that move aliases, and one that shows who moved them."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.names import MODEL_NAME
from ops.cli.options import Json, ModelName, TrackingUri, Version
from ops.console import Output

if TYPE_CHECKING:
    from app.bundle import GateResult
    from training.ledger import Move

Actor = Annotated[
    str | None, typer.Option(envvar="CHURN_ACTOR", help="Your name for the history. Default: the login name.")
]
Reason = Annotated[str, typer.Option(help="Reason for the history.")]


def promote(
    *,
    version: Version = None,
    override: Annotated[
        str,
        typer.Option(
            metavar="REASON",
            help="Serve a version that gates refused, for this reason, which the history keeps.",
        ),
    ] = "",
    acknowledge: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GATE",
            help="Confirm that you checked a gate's warning, such as 'leak'; repeatable.",
        ),
    ] = None,
    replace_schema: Annotated[
        bool,
        typer.Option("--replace-schema", help="Promote though production has another schema, or was deleted."),
    ] = False,
    breaking: Annotated[
        bool,
        typer.Option("--breaking", help="Promote though its contract breaks clients of the version in production."),
    ] = False,
    reason: Reason = "",
    actor: Actor = None,
    model_name: ModelName = MODEL_NAME,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Put a version into production.

    The alias 'production' moves to the version if it passes its gates, among them the comparison with the present
    version, which becomes 'previous'. A running API serves the new version once it has looked at the alias again.

    If a gate needs your decision, the command names the option for it. The history keeps what was overridden or
    acknowledged, with your name.

    Example: churn promote --version 3 --reason "trained on October"
    """
    from ops.cli import model_versions as versions
    from ops.local import mlflow_server
    from ops.local.home import Home

    with mlflow_server.tracking_server(Home.from_environment(), "churn promote", tracking_uri) as url:
        versions.require_model(url, model_name)
        if version is not None:
            versions.require(url, model_name, version)
        from training import registry

        responsibility = registry.Responsibility(
            override=override.strip(),
            acknowledged=tuple(acknowledge or ()),
            replace_schema=replace_schema,
            breaking=breaking,
        )
        move = registry.promote(url, model_name, version, actor=actor, reason=reason, responsibility=responsibility)
    _show_move(move, Output(as_json=as_json))


def rollback(
    *,
    reason: Reason = "",
    actor: Actor = None,
    model_name: ModelName = MODEL_NAME,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Serve the previous version again.

    A second rollback undoes the first. If 'production' was moved by hand in MLflow, that move is undone instead.

    Example: churn rollback --reason "too many offers"
    """
    from ops.cli import model_versions as versions
    from ops.local import mlflow_server
    from ops.local.home import Home

    with mlflow_server.tracking_server(Home.from_environment(), "churn rollback", tracking_uri) as url:
        versions.require_model(url, model_name)
        from training import registry

        move = registry.rollback(url, model_name, actor=actor, reason=reason)
    _show_move(move, Output(as_json=as_json))


def history(*, model_name: ModelName = MODEL_NAME, tracking_uri: TrackingUri = None, as_json: Json = False) -> None:
    """Show who moved which alias, when and why.

    Each move is shown with its run and its evidence, the oldest first. A move that was made by hand in MLflow comes
    last, as "by hand", until the next promotion or rollback.

    Example: churn history --json
    """
    from ops.cli import model_versions as versions
    from ops.local import mlflow_server
    from ops.local.home import Home

    with mlflow_server.tracking_server(Home.from_environment(), "churn history", tracking_uri) as url:
        versions.require_model(url, model_name)
        from training import registry

        moves = registry.history(url, model_name)
    output = Output(as_json=as_json)
    output.result(
        [move.model_dump(mode="json") for move in moves],
        lambda: output.table(
            ("When (UTC)", "Who", "What", "Alias", "From", "To", "Run", "Evidence", "Reason"),
            [
                (
                    f"{move.at:%Y-%m-%d %H:%M:%S}",
                    move.actor,
                    move.action,
                    move.alias,
                    move.from_version or "-",
                    move.to_version,
                    (move.run_id or "-")[:8],
                    _evidence(move),
                    move.why,
                )
                for move in moves
            ],
        ),
    )


def _evidence(move: Move) -> str:
    passed = sum(gate.passed for gate in move.gates)
    figures = "".join(f", {name} {move.metrics[name]:.4f}" for name in ("auc", "brier") if name in move.metrics)
    return f"{passed} of {len(move.gates)} gates{figures}"


def _verdict(gate: GateResult) -> str:
    return gate.detail if gate.passed else f"OVERRIDDEN: {gate.detail}"


def _show_move(move: Move, output: Output) -> None:
    def words() -> None:
        before = f" instead of version {move.from_version}" if move.from_version else ""
        output.say(f"Version {move.to_version} is now '{move.alias}'{before}", "green")
        output.pairs([(f"gate {gate.name}", _verdict(gate)) for gate in move.gates] or [("gates", "none known")])

    output.result(move.model_dump(mode="json"), words)
