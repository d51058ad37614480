"""``churn train``."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from app.defaults import SEED
from app.names import MODEL_NAME
from ops.cli.options import Decimal, Delimiter, Encoding, Json, ModelName, Sheet, Thousands, TrackingUri, reading
from ops.console import Output
from ops.errors import OpsError, RefusedError

if TYPE_CHECKING:
    from app.contract import Contract
    from ops.local.home import Home
    from training.config import BuiltIn, CostModel, RunConfig, TrainConfig
    from training.result import OnStage, TrainResult


class ModelChoice(StrEnum):
    """Kinds of model to train."""

    AUTO = "auto"
    LOGISTIC_REGRESSION = "logistic_regression"
    GRADIENT_BOOSTING = "gradient_boosting"
    XGBOOST = "xgboost"
    LIGHTGBM = "lightgbm"


class SplitChoice(StrEnum):
    """Ways to hold out rows for the test."""

    RANDOM = "random"
    TIME = "time"


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
Model = Annotated[
    ModelChoice | None,
    typer.Option(
        help="'auto' takes logistic_regression or gradient_boosting, whichever has the better AUC in cross-validation. "
        "xgboost and lightgbm need `make boosting`.",
        show_default="logistic_regression",
    ),
]
OwnEstimator = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE:FUNCTION",
        help="A function of your own, which returns a scikit-learn classifier, instead of --model. Its module is "
        "installed or in the current folder.",
    ),
]
Search = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        max=1000,
        help="Try N sets of hyper-parameters for each candidate by cross-validation, and take the best.",
    ),
]
Split = Annotated[
    SplitChoice,
    typer.Option(help="'time' holds out the most recent days, by the column as_of of the contract."),
]
Seed = Annotated[
    int, typer.Option(min=0, help="Seed of the split, the folds, the bootstrap, the search and the classifier.")
]
OfferCost = Annotated[
    float | None, typer.Option(help="Cost of an offer, in the currency of the bills. Default: the contract's.")
]
CustomerValue = Annotated[float | None, typer.Option(help="Value of a customer who stays. Default: the contract's.")]
RetainedShare = Annotated[
    float | None,
    typer.Option(help="Share of the leaving customers who stay because of an offer. Default: the contract's."),
]
Promote = Annotated[bool, typer.Option("--promote", help="Also put the version into production.")]


def train(
    *,
    data: Data = None,
    contract: ContractFile = None,
    model: Model = None,
    estimator: OwnEstimator = None,
    search: Search = 0,
    split: Split = SplitChoice.RANDOM,
    seed: Seed = SEED,
    offer_cost: OfferCost = None,
    customer_value: CustomerValue = None,
    retained_share: RetainedShare = None,
    model_name: ModelName = MODEL_NAME,
    promote: Promote = False,
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

    Example: churn train --data customers.parquet --contract contract.yaml --model auto --search 20 --promote
    """
    from training.contract_option import chosen
    from training.threads import limit_threads

    limit_threads()
    from ops.local import mlflow_server
    from ops.local.home import Home

    home = Home.from_environment()
    described = chosen(contract)
    cost = _cost(described, offer_cost=offer_cost, customer_value=customer_value, retained_share=retained_share)
    _check_data(data, home)
    _check_model(model, estimator, search, seed)
    from training.config import TrainConfig

    options = reading(encoding=encoding, delimiter=delimiter, decimal=decimal, thousands=thousands, sheet=sheet)
    with mlflow_server.tracking_server(home, "churn train", tracking_uri) as url:
        config = TrainConfig(
            source=data or str(home.customers),
            contract=_or_telco(described),
            reading=options,
            model=(model or ModelChoice.LOGISTIC_REGRESSION).value,
            estimator=estimator,
            search=search,
            split=split.value,
            seed=seed,
            **cost,
            tracking_uri=url,
            model_name=model_name,
            experiment=model_name,
        )
        carry_out("churn train", config, partial(_trained, config), Output(as_json=as_json), promote=promote)


def _trained(config: TrainConfig, begin: OnStage) -> TrainResult:
    from training.train import train as run

    return run(config, on_stage=begin)


def _or_telco(contract: Contract | None) -> Contract:
    """The contract of the option; without one, that of the public Telco customers."""
    from app.schemas import telco

    return contract or telco()


def _cost(contract: Contract | None, **amounts: float | None) -> dict[str, CostModel]:
    """The cost model as an argument of the configuration: the contract's with these amounts, or none without any.

    It is checked before the paths of data; that of a contract alone is checked with the contract.
    """
    amended = {name: amount for name, amount in amounts.items() if amount is not None}
    if not amended:
        return {}
    from training.config import CostModel

    return {"cost": CostModel(**_or_telco(contract).cost.model_dump() | amended)}


def _check_data(data: str | None, home: Home) -> None:
    """Report a missing file before libraries and servers take their time to start."""
    from training.files import PathError, check_source

    if data is None and not home.customers.exists():
        remedy = "name your own with --data, or make some with `churn data generate`"
        raise PathError(str(home.customers), "no such file", remedy)
    check_source(data or str(home.customers))


def _check_model(model: ModelChoice | None, estimator: str | None, search: int, seed: int) -> None:
    """Report a classifier that cannot be used before servers take their time to start."""
    if estimator is not None and model is not None:
        raise OpsError(f"--model {model.value} and --estimator {estimator}: leave one of the two out")
    if estimator is not None and search:
        raise OpsError(
            f"--search {search} and --estimator {estimator}: only the ranges of built-in models are known; leave "
            "one of the two out, or search in the function itself"
        )
    if estimator is not None:
        from training.own_estimator import load

        load(estimator, seed)
    elif model in {ModelChoice.XGBOOST, ModelChoice.LIGHTGBM}:
        from training.estimators import KINDS

        KINDS[cast("BuiltIn", model.value)].make(seed, {})


def carry_out(
    command: str, config: RunConfig, run: Callable[[OnStage], TrainResult], output: Output, *, promote: bool
) -> None:
    """Make a version by ``run`` and show it; a refused version is an error, which still shows it.

    Args:
        command: its name, for the history.
        config: where the version is registered, under which name.
        run: called with a function that announces its stages.
        promote: whether the version also goes into production.

    Raises:
        RefusedError: a gate refused it.
    """
    with output.stages() as begin:
        begin("import", "the libraries")
        result = run(begin)
    with output.result_even_if_it_fails(_as_json(result), lambda: _show_training(result, output)):
        if not result.staged:
            refusals = "; ".join(f"gate {gate.name}: {gate.detail}" for gate in result.gates if not gate.passed)
            raise RefusedError(f"version {result.version} is registered but refused, no alias moved: {refusals}")
        if promote:
            from training import registry

            move = registry.promote(
                config.tracking_uri, config.model_name, result.version, reason=f"promoted by {command}"
            )
            output.say(f"Version {move.to_version} is now '{move.alias}'", "green")


def _as_json(result: TrainResult) -> dict[str, Any]:
    return {
        "version": result.version,
        "run_id": result.run_id,
        "model_type": result.model_type,
        "staged": result.staged,
        "metrics": {name: asdict(metric) for name, metric in result.metrics.items()},
        "trials": result.trials,
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
        params = ", ".join(f"{name} {value:.4g}" for name, value in validation.params.items())
        output.say(
            f"{validation.model_type}: cross-validated AUC {validation.mean:.4f}" + (params and f" with {params}")
        )
    output.pairs(
        [(f"gate {gate.name}", str(gate)) for gate in result.gates]
        + [("warning", warning) for warning in result.warnings]
    )
    output.say(f"Registered version {result.version} ({result.model_type}), run {result.run_id}")
