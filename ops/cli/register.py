"""``churn register``."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.defaults import SEED
from app.names import MODEL_NAME
from ops.cli.options import Decimal, Delimiter, Encoding, Json, ModelName, Sheet, Thousands, TrackingUri, reading
from ops.cli.train import ContractFile, Promote, carry_out
from ops.console import Output

if TYPE_CHECKING:
    from training.config import RegisterConfig
    from training.result import OnStage, TrainResult


ModelFile = Annotated[
    Path,
    typer.Argument(
        help="ONNX over the coded features (.onnx), or a scikit-learn pipeline over the raw ones, as skops saves it "
        "(.skops)."
    ),
]
Data = Annotated[
    str,
    typer.Option(
        help="Labelled customers that the model was NOT trained with: every figure and gate is about them. CSV, Excel "
        "or Parquet: path, folder, pattern or s3://bucket/key."
    ),
]
Golden = Annotated[
    Path | None,
    typer.Option(
        help="20 to 1,000 customers with the scores that the model gave them where it was trained, JSON or CSV with a "
        "column 'score'. An .onnx file needs them."
    ),
]
TrainData = Annotated[
    str | None,
    typer.Option(
        help="The customers that it was trained with, if they are known: for the medians that fill blanks, and to look "
        "for copies among --data."
    ),
]
Trust = Annotated[
    list[str] | None,
    typer.Option(metavar="TYPE", help="A type that a .skops file may hold; repeatable. The error names them."),
]


def register(
    model: ModelFile,
    *,
    data: Data,
    contract: ContractFile = None,
    golden: Golden = None,
    train_data: TrainData = None,
    note: Annotated[str, typer.Option(help="Who trained it, where and how: for the model card.")] = "",
    trust: Trust = None,
    model_name: ModelName = MODEL_NAME,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = SEED,
    promote: Promote = False,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    sheet: Sheet = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Check a model that was trained elsewhere, and register it as 'staging'.

    It passes the same gates as a model that is trained here. Exit code 1 if a gate refuses the version, 2 if the model,
    its golden rows or the data do not fit; then nothing is registered.

    Example: churn register model.onnx --contract contract.yaml --data holdout.csv --golden golden.csv
    """
    from training.contract_option import chosen
    from training.threads import limit_threads

    limit_threads()
    from app.schemas import telco
    from ops.local import mlflow_server
    from ops.local.home import Home
    from training.config import RegisterConfig
    from training.files import check_source
    from training.foreign_error import check_present

    described = chosen(contract) or telco()
    check_present(model, golden)
    for source in filter(None, (data, train_data)):
        check_source(source)
    options = reading(encoding=encoding, delimiter=delimiter, decimal=decimal, thousands=thousands, sheet=sheet)
    with mlflow_server.tracking_server(Home.from_environment(), "churn register", tracking_uri) as url:
        config = RegisterConfig(
            model_file=model,
            source=data,
            contract=described,
            reading=options,
            golden=golden,
            train_source=train_data,
            trusted_types=tuple(trust or ()),
            note=note,
            model_name=model_name,
            experiment=model_name,
            seed=seed,
            tracking_uri=url,
        )
        carry_out("churn register", config, partial(_registered, config), Output(as_json=as_json), promote=promote)


def _registered(config: RegisterConfig, begin: OnStage) -> TrainResult:
    from training.register import register as run

    return run(config, on_stage=begin)
