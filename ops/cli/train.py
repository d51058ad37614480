"""``churn train``."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.defaults import SEED
from app.names import MODEL_NAME
from ops.cli.options import Decimal, Delimiter, Encoding, Json, ModelName, Sheet, Thousands, TrackingUri, reading
from ops.console import Output
from ops.errors import RefusedError

if TYPE_CHECKING:
    from app.contract import Contract
    from ops.local.home import Home
    from training.config import CostModel, TrainConfig
    from training.result import TrainResult


class ModelChoice(StrEnum):
    """Kinds of model to train."""

    AUTO = "auto"
    LOGISTIC_REGRESSION = "logistic_regression"
    GRADIENT_BOOSTING = "gradient_boosting"


Data = Annotated[
    str | None,
    typer.Option(
        help="CSV, Excel or Parquet: path, folder, pattern or s3://bucket/key. Default: .churn/data/customers.csv"
    ),
]
ContractFile = Annotated[
    Path | None,
    typer.Option(help="What the customers look like, a YAML file. Default: those of the public Telco data."),
]
OfferCost = Annotated[
    float | None, typer.Option(help="Cost of an offer, in the currency of the bills. Default: the contract's.")
]
RetainedShare = Annotated[
    float | None,
    typer.Option(help="Share of the leaving customers who stay because of an offer. Default: the contract's."),
]


def train(
    *,
    data: Data = None,
    contract: ContractFile = None,
    model: Annotated[
        ModelChoice, typer.Option(help="'auto' takes the one with the better AUC in cross-validation.")
    ] = ModelChoice.LOGISTIC_REGRESSION,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split, the folds and the bootstrap.")] = SEED,
    offer_cost: OfferCost = None,
    customer_value: Annotated[
        float | None, typer.Option(help="Value of a customer who stays. Default: the contract's.")
    ] = None,
    retained_share: RetainedShare = None,
    model_name: ModelName = MODEL_NAME,
    promote: Annotated[bool, typer.Option("--promote", help="Also put the version into production.")] = False,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    sheet: Sheet = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Train a model, check it, and register it as 'staging'.

    The decision threshold is offer_cost / (retained_share * customer_value). Exit code 1 if a gate refuses the
    version, 2 if the data has violations; all of them are listed.

    Example: churn train --data customers.parquet --contract contract.yaml --model auto --promote
    """
    from training.contract_option import chosen
    from training.threads import limit_threads

    limit_threads()
    from ops.local import mlflow_server
    from ops.local.home import Home

    home = Home.from_environment()
    amounts = {"offer_cost": offer_cost, "customer_value": customer_value, "retained_share": retained_share}
    described = chosen(contract)
    cost = _cost(described, amounts)
    _check_data(data, home)
    from app.schemas import telco
    from training.config import TrainConfig

    options = reading(encoding=encoding, delimiter=delimiter, decimal=decimal, thousands=thousands, sheet=sheet)
    with mlflow_server.tracking_server(home, "churn train", tracking_uri) as url:
        config = TrainConfig(
            source=data or str(home.customers),
            contract=described or telco(),
            reading=options,
            model=model.value,
            seed=seed,
            **cost,
            tracking_uri=url,
            model_name=model_name,
            experiment=model_name,
        )
        _train(config, Output(as_json=as_json), promote=promote)


def _cost(contract: Contract | None, amounts: Mapping[str, float | None]) -> dict[str, CostModel]:
    """The cost model as an argument of the configuration: the contract's with these amounts, or none without any.

    It is checked before the paths of data; that of a contract alone is checked with the contract.
    """
    amended = {name: amount for name, amount in amounts.items() if amount is not None}
    if not amended:
        return {}
    from app.schemas import telco
    from training.config import CostModel

    return {"cost": CostModel(**(contract or telco()).cost.model_dump() | amended)}


def _check_data(data: str | None, home: Home) -> None:
    """Report a missing file before libraries and servers take their time to start."""
    from training.files import PathError, check_source

    if data is None and not home.customers.exists():
        remedy = "name your own with --data, or make some with `churn data generate`"
        raise PathError(str(home.customers), "no such file", remedy)
    check_source(data or str(home.customers))


def _train(config: TrainConfig, output: Output, *, promote: bool) -> None:
    """Train and show the result; a refused version is an error, which still shows it."""
    from training.train import train as run

    with output.stages() as begin:
        begin("import", "the libraries")
        result = run(config, on_stage=begin)
    with output.result_even_if_it_fails(_as_json(result), lambda: _show_training(result, output)):
        if not result.staged:
            refusals = "; ".join(f"gate {gate.name}: {gate.detail}" for gate in result.gates if not gate.passed)
            raise RefusedError(f"version {result.version} is registered but refused, no alias moved: {refusals}")
        if promote:
            from training import registry

            move = registry.promote(
                config.tracking_uri, config.model_name, result.version, reason="promoted by churn train"
            )
            output.say(f"Version {move.to_version} is now '{move.alias}'", "green")


def _as_json(result: TrainResult) -> dict[str, Any]:
    return {
        "version": result.version,
        "run_id": result.run_id,
        "model_type": result.model_type,
        "staged": result.staged,
        "metrics": {name: asdict(metric) for name, metric in result.metrics.items()},
        "cross_validation": [asdict(validation) for validation in result.cross_validation],
        "gates": [gate.model_dump(mode="json") for gate in result.gates],
        "warnings": list(result.warnings),
        "seconds": result.seconds,
    }


def _show_training(result: TrainResult, output: Output) -> None:
    output.table(
        ("Metric", "Value", "95 % interval"),
        [(name, f"{m.value:.4f}", f"{m.low:.4f} to {m.high:.4f}") for name, m in result.metrics.items()],
    )
    for validation in result.cross_validation:
        output.say(f"{validation.model_type}: cross-validated AUC {validation.mean:.4f}")
    output.pairs(
        [(f"gate {gate.name}", str(gate)) for gate in result.gates]
        + [("warning", warning) for warning in result.warnings]
    )
    output.say(f"Registered version {result.version} ({result.model_type}), run {result.run_id}")
