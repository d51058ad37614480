from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from sklearn.pipeline import Pipeline
from support.bundles import random_customers
from support.registered import follow
from support.servers import Api
from support.telco import FEATURE_NAMES, FEATURES, blank_total

from training import native
from training.config import BuiltIn, TrainConfig
from training.generate import write
from training.pipeline import predict
from training.registry import promote
from training.train import train
from training.truth import GeneratorConfig

pytestmark = pytest.mark.service

ROWS = 10_000
TOLERANCE = 1e-6
BATCH = 1000
Customers = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One trained version: its native model, and the API that serves its export."""

    pipeline: Pipeline
    api: Api


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("parity") / "customers.parquet"
    write(GeneratorConfig(rows=3000, seed=6), path)
    return path


@pytest.fixture(
    scope="module",
    params=[
        name if name == "logistic_regression" else pytest.param(name, marks=pytest.mark.long(seconds=30, together=name))
        for name in get_args(BuiltIn)
    ],
)
def pair(
    request: pytest.FixtureRequest, data: Path, mlflow_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """Trained, registered and promoted as an operator does it, then served from the registry."""
    name = f"parity-{request.param}"
    config = TrainConfig(
        source=str(data), tracking_uri=mlflow_server, model_name=name, model=request.param, bootstrap_count=100
    )
    result = train(config)
    promote(mlflow_server, name, result.version)
    client = MlflowClient(mlflow_server)
    version = client.get_model_version(name, result.version)
    uri = client.get_model_version_download_uri(name, result.version)
    folder = tmp_path_factory.mktemp("native")
    file = download_artifacts(f"{uri}/{native.FILE}", dst_path=str(folder), tracking_uri=mlflow_server)
    pipeline = native.load_native(Path(file), request.param, version.tags[native.DIGEST_TAG])
    with Api(folder, **follow(mlflow_server, name)) as api:
        yield Pair(pipeline=pipeline, api=api)


def whole_schema(rows: int, seed: int) -> Customers:
    """Customers from the whole range that the schema allows, its ends included."""
    rng = np.random.default_rng(seed)
    customers = random_customers(rows, seed)
    for customer in customers:
        for feature in FEATURES:
            if feature.minimum is None or feature.maximum is None:
                continue
            value = float(rng.choice([feature.minimum, feature.maximum, rng.uniform(feature.minimum, feature.maximum)]))
            customer[feature.name] = round(value) if feature.integer else value
    return customers


def trained_scores(pipeline: Pipeline, customers: Customers) -> npt.NDArray[np.float64]:
    """By the native model on a frame of the raw values, a blank total filled in as the schema says."""
    frame = pd.DataFrame(customers, columns=list(FEATURE_NAMES))
    blank = blank_total(frame["tenure_months"], frame["monthly_charges"])  # type: ignore[arg-type]  # columns as numbers
    frame["total_charges"] = frame["total_charges"].astype(float).fillna(blank)
    return np.asarray(predict(pipeline, frame))


def served_scores(api: Api, customers: Customers) -> npt.NDArray[np.float64]:
    scores: list[float] = []
    for start in range(0, len(customers), BATCH):
        answer = api.client.post("/v1/predict/batch", json={"customers": customers[start : start + BATCH]})
        assert answer.status_code == 200, answer.text
        scores += [prediction["churn_probability"] for prediction in answer.json()["predictions"]]
    return np.array(scores)


@pytest.mark.parametrize("draw", [random_customers, whole_schema], ids=["realistic", "whole-schema"])
def test_training_and_serving_give_the_same_score(pair: Pair, draw: Callable[[int, int], Customers]) -> None:
    customers = draw(ROWS, 17)
    by_training, by_serving = trained_scores(pair.pipeline, customers), served_scores(pair.api, customers)
    assert by_serving.shape == (ROWS,)
    assert np.ptp(by_training) > 0.5, "the customers are too much alike"
    assert np.abs(by_training - by_serving).max() <= TOLERANCE
