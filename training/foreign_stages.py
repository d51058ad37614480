"""The stages of a registration before those that it shares with a training run (:mod:`training.stages`)."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import pandas as pd
from sklearn.pipeline import Pipeline

from app.bundle import Golden, sha256
from app.contract import Features, Scores
from training import (
    duplicates,
    fitting,
    foreign_golden,
    foreign_graph,
    foreign_pipeline,
    foreign_serving,
    pipeline,
    stages,
)
from training.candidate import Run
from training.config import RegisterConfig
from training.data import Dataset, encode_frame, filled_medians, load
from training.elsewhere import Elsewhere
from training.export import onnx_scores
from training.filling import medians_of
from training.fitting import Fitted
from training.foreign_error import ForeignModelError
from training.graph_model import GraphModel
from training.mlflow_store import connect
from training.pipeline import Labels, Split
from training.result import OnStage, Progress, TrainResult


def run(config: RegisterConfig, on_stage: OnStage) -> TrainResult:
    """Register as ``config`` says; see :func:`training.register.register`."""
    progress = Progress(on_stage)
    progress.enter("model", config.model_file.name)
    model, golden = _model(config)
    _check_medians(config)
    progress.enter("load", config.source)
    data = load(config.source, config.contract, reading=config.reading)
    train = load(config.train_source, config.contract, reading=config.reading) if config.train_source else None
    progress.enter("validate", f"{len(data.customers):,} rows that the model was not trained with")
    churned = fitting.validate(data)
    client = connect(config.tracking_uri)
    progress.enter("score", f"all rows by {config.model_file.name}")
    fitted = _scored(config, model, golden, _customers(data, churned, train))
    if train is not None:
        data = dataclasses.replace(data, notes=(*data.notes, *train.notes, *_in_both(train, data)))
    return stages.publish(Run(config=config, client=client, data=data, fitted=fitted), progress)


def _model(config: RegisterConfig) -> tuple[Pipeline | onnx.ModelProto, Golden | None]:
    """Read the model and its golden rows."""
    path, contract = config.model_file, config.contract
    match path.suffix.lower():
        case ".skops":
            if config.golden is not None:
                raise ForeignModelError(
                    config.golden, "is not needed: a pipeline can score customers itself", "leave out --golden"
                )
            return foreign_pipeline.read_pipeline(path, contract, config.trusted_types), None
        case ".onnx":
            if config.trusted_types:
                raise ForeignModelError(path, "has no types that could be trusted", "leave out --trust")
            graph = foreign_graph.read_graph(path, contract)
            if config.golden is None:
                raise ForeignModelError(
                    path, "can only be trusted with rows that were scored where it was trained",
                    f"name at least {foreign_golden.ROWS_MIN} of them with --golden (docs/registering.md)",
                )  # fmt: skip
            return graph, foreign_golden.read_golden(config.golden, contract)
    raise ForeignModelError(
        path, "is neither .onnx nor .skops, and nothing else is loaded, pickles least of all",
        "save the pipeline with skops.io.dump, or export it to ONNX (docs/registering.md)",
    )  # fmt: skip


def _check_medians(config: RegisterConfig) -> None:
    """Ask for the training rows if the contract fills blanks with their medians."""
    names = [feature.name for feature in config.contract.features if feature.blank == "median"]
    if names and config.train_source is None:
        raise ForeignModelError(
            config.model_file,
            f"reads {', '.join(names)}, whose blanks count as the median of the training rows, which are not known",
            "name these rows with --train-data, or write the value into the contract: blank: {constant: VALUE}",
        )


def _in_both(train: Dataset, data: Dataset) -> list[str]:
    """A sentence about customers whose id is in both files; they may be there on different days."""
    if train.ids is None or data.ids is None:
        return []
    count = int(data.ids.isin(set(train.ids)).sum())
    if not count:
        return []
    sentence = (
        f"{count:,} of {len(data.ids):,} rows are about customers whom the model was trained with, by their ids: "
        "figures about them are too good unless the rows are of a later time"
    )
    return [sentence]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Customers:
    """The customers of both files, the training part first, every blank filled."""

    frame: pd.DataFrame
    features: Features
    churned: Labels
    split: Split
    medians: dict[str, float]
    content: duplicates.Content
    groups: pd.Series[str]


def _customers(data: Dataset, churned: Labels, train: Dataset | None) -> _Customers:
    parts = [data] if train is None else [train, data]
    contract, known = data.contract, 0 if train is None else len(train.customers)
    raw = pd.concat([part.customers for part in parts], ignore_index=True)
    medians = {} if train is None else medians_of(contract, train.customers)
    frame = filled_medians(raw, medians)
    content = duplicates.content(encode_frame(contract, raw, {}))
    labels = [churned] if train is None or train.churned is None else [train.churned, churned]
    return _Customers(
        frame=frame,
        features=encode_frame(contract, frame, medians),
        churned=np.concatenate(labels),
        split=Split(train=np.arange(known), test=np.arange(known, len(raw))),
        medians=medians,
        content=content,
        groups=duplicates.groups(_ids(parts), content),
    )


def _ids(parts: list[Dataset]) -> pd.Series[str] | None:
    """The ids of all rows; a file without any leaves them open."""
    if all(part.ids is None for part in parts):
        return None
    open_ids = [pd.Series([None] * len(p.customers), dtype="str") if p.ids is None else p.ids for p in parts]
    return pd.concat(open_ids, ignore_index=True)


def _scored(
    config: RegisterConfig, model: Pipeline | onnx.ModelProto, golden: Golden | None, customers: _Customers
) -> Fitted:
    """Score all rows, and give the model the form that serving runs."""
    path, contract = config.model_file, config.contract
    if isinstance(model, onnx.ModelProto):
        graph = foreign_serving.as_served(path, model, customers.features)
        scores = onnx_scores(graph, customers.features)
        native: Pipeline | GraphModel = GraphModel(graph, contract, customers.medians)
    else:
        scores = _native_scores(config, model, customers.frame)
        limit = config.gates.parity_difference_max
        graph = foreign_pipeline.pipeline_graph(
            path, model, contract, features=customers.features, scores=scores, limit=limit
        )
        native = model
    foreign_serving.check_scores(path, scores, "the customers")
    foreign_serving.check_alone(path, graph, customers.features, onnx_scores(graph, customers.features))
    if golden is not None:
        _check_golden(config, graph, golden, customers)
    return Fitted(
        model=native,
        model_type="foreign",
        customers=customers.frame,
        medians=customers.medians,
        scores=scores,
        features=customers.features,
        churned=customers.churned,
        split=customers.split,
        content=customers.content,
        groups=customers.groups,
        validations=(),
        elsewhere=Elsewhere(file=path.name, sha256=sha256(path.read_bytes()), graph=graph, golden=golden),
    )


def _native_scores(config: RegisterConfig, model: Pipeline, customers: pd.DataFrame) -> Scores:
    try:
        return pipeline.predict(model, customers)
    except Exception as error:  # the pipeline's own steps may raise anything
        raise ForeignModelError(
            config.model_file, f"cannot score customers of contract {config.contract.name!r} ({error})",
            "fit it on all columns of the contract in their order, categories as texts and booleans as 0 and 1, or "
            "let it pick its columns by name (ColumnTransformer)",
        ) from error  # fmt: skip


def _check_golden(config: RegisterConfig, graph: bytes, golden: Golden, customers: _Customers) -> None:
    """Refuse a graph that does not score its own golden rows: no version of it could ever be loaded.

    Raises:
        ParityError: a score differs.
    """
    result = foreign_golden.parity(graph, golden, config.contract, customers.medians, config.gates)
    if not result.passed:
        raise foreign_golden.ParityError(result)
