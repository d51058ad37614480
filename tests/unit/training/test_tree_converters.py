"""Trees are exported exactly: at each of their thresholds, as sums for the calibration, or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from support.contracts import small_bank, small_bank_customers
from xgboost import XGBClassifier, XGBRFClassifier

from app.contract import Contract
from app.schemas import telco
from training import export, pipeline, tree_converters
from training.boosting import unconvertible
from training.config import BuiltIn
from training.data import encode_frame
from training.estimators import Estimator
from training.generate import GeneratorConfig, generate
from training.onnx_graph import to_onnx

TREES: tuple[BuiltIn, ...] = ("gradient_boosting", "xgboost", "lightgbm")


def customers(contract: Contract) -> tuple[Any, npt.NDArray[np.int8]]:
    if contract.name != "telco":
        frame = small_bank_customers(2500, 5).dropna()
        frame["geography"] = pd.Categorical(frame["geography"], contract.by_name["geography"].categories)
        return frame[list(contract.names)], frame["left"].to_numpy(dtype=np.int8)
    frame = generate(GeneratorConfig(rows=2500, seed=8)).customers
    total = frame["total_charges"].fillna(frame["tenure_months"] * frame["monthly_charges"])
    return frame.assign(total_charges=total)[list(contract.names)], frame["churned"].to_numpy(dtype=np.int8)


def differences(model: Pipeline, contract: Contract, frame: Any) -> npt.NDArray[np.float64]:
    exported = export.onnx_scores(to_onnx(model, contract), encode_frame(contract, frame, {}))
    return np.abs(exported - pipeline.predict(model, frame))


def thresholds(model: Pipeline) -> npt.NDArray[np.float64]:
    """Every threshold of a LightGBM model."""
    lines = pipeline.classifier_parts(model)[0].booster_.model_to_string().splitlines()
    return np.array(
        [float(v) for line in lines if line.startswith("threshold=") for v in line.removeprefix("threshold=").split()]
    )


@pytest.mark.parametrize("contract", [telco(), small_bank()], ids=lambda contract: contract.name)
@pytest.mark.parametrize("name", TREES)
def test_the_graph_scores_as_the_trees_do(name: BuiltIn, contract: Contract) -> None:
    frame, churned = customers(contract)
    model = pipeline.fit(name, contract, frame[:1500], churned[:1500], seed=2, calibration_folds=2)
    assert differences(model, contract, frame).max() < 1e-6


def test_a_customer_at_a_threshold_of_lightgbm_goes_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The float32 next to a threshold may lie above it, where the tree goes right and a rounded tree would go left."""
    contract = telco()
    frame, churned = customers(contract)
    model = pipeline.fit("lightgbm", contract, frame, churned, seed=2, calibration_folds=2)
    nearest = thresholds(model).astype(np.float32).astype(np.float64)
    above = np.unique(nearest[nearest > thresholds(model)])
    above = above[(above > 18) & (above < 118)]
    assert len(above) > 10, "no threshold is rounded up: the test would show nothing"
    rows = frame.iloc[np.tile(np.arange(20), len(above))].assign(monthly_charges=np.repeat(above, 20))
    assert differences(model, contract, rows).max() < 1e-6
    monkeypatch.setattr(tree_converters, "_rounded_booster", lambda booster: booster)
    assert differences(model, contract, rows).max() > 1e-3, "without the rounding no customer would go another way"


def test_the_native_trees_are_not_changed_by_an_export() -> None:
    frame, churned = customers(small_bank())
    for name in TREES:
        model = pipeline.fit(name, small_bank(), frame, churned, seed=2, calibration_folds=2)
        before = pipeline.predict(model, frame)
        to_onnx(model, small_bank())
        assert np.array_equal(pipeline.predict(model, frame), before)


@pytest.mark.parametrize(
    "classifier",
    [LGBMClassifier(n_estimators=20, n_jobs=1, verbose=-1), XGBClassifier(n_estimators=20, n_jobs=1)],
    ids=lambda classifier: type(classifier).__name__,
)
def test_the_libraries_own_classes_are_exported_too(classifier: Any) -> None:
    """LightGBM's has a decision function and XGBoost's has none: the calibration reads probabilities there."""
    frame, churned = customers(small_bank())
    estimator = Estimator(model_type="custom", encoding="ordinal", make=lambda _: classifier)
    model = pipeline.fit(estimator, small_bank(), frame, churned, seed=2, calibration_folds=2)
    assert differences(model, small_bank(), frame).max() < 1e-6


@pytest.mark.parametrize(
    ("classifier", "words"),
    [
        (HistGradientBoostingClassifier(categorical_features=[0]), r"HistGradientBoostingClassifier\(categorical_feat"),
        (XGBClassifier(booster="dart"), r"XGBClassifier\(booster='dart'\) is converted to another model: use 'gbtree'"),
        (XGBClassifier(booster="gblinear"), r"booster='gblinear'"),
        (XGBClassifier(num_parallel_tree=4), r"num_parallel_tree=4\) is converted to another model: use 1"),
        (XGBClassifier(missing=-1.0), r"missing=-1.0\) is converted to another model: use the default"),
        (XGBClassifier(objective="binary:hinge"), r"objective='binary:hinge'"),
        (XGBRFClassifier(), "XGBRFClassifier cannot be converted"),
        (LGBMClassifier(boosting_type="rf"), r"LGBMClassifier\(boosting_type='rf'\) is converted to another model"),
        (LGBMClassifier(boosting="rf"), r"boosting='rf'"),
        (LGBMClassifier(linear_tree=True), r"linear_tree=True\) is converted to another model: use False"),
        (LGBMClassifier(zero_as_missing=True), r"zero_as_missing=True"),
        (make_pipeline(StandardScaler(), LGBMClassifier(linear_tree=True)), r"linear_tree=True"),
        (VotingClassifier([("a", XGBClassifier(booster="dart"))]), r"booster='dart'"),
        (CalibratedClassifierCV(XGBClassifier(missing=0)), r"missing=0"),
    ],
    ids=str,
)
def test_parameters_that_converters_get_wrong_are_refused(classifier: Any, words: str) -> None:
    refused = unconvertible(classifier)
    assert refused is not None
    assert words.replace("\\", "") in refused


@pytest.mark.parametrize(
    "classifier",
    [
        HistGradientBoostingClassifier(),
        XGBClassifier(),
        XGBClassifier(booster="gbtree", num_parallel_tree=1, missing=float("nan"), objective="binary:logistic"),
        LGBMClassifier(),
        LGBMClassifier(boosting_type="gbdt", linear_tree=False),
        make_pipeline(StandardScaler(), LGBMClassifier()),
    ],
    ids=str,
)
def test_the_defaults_are_not_refused(classifier: Any) -> None:
    assert unconvertible(classifier) is None


@pytest.mark.parametrize(
    "params", [{"linear_tree": True}, {"boosting_type": "rf", "subsample": 0.6, "subsample_freq": 1}]
)
def test_what_is_refused_would_be_another_model(params: dict[str, Any]) -> None:
    """Why they are refused; a converter that learns them makes this test fail, and the refusal can go."""
    frame, churned = customers(small_bank())
    classifier = LGBMClassifier(n_estimators=20, n_jobs=1, verbose=-1, **params)
    estimator = Estimator(model_type="custom", encoding="ordinal", make=lambda _: classifier)
    model = pipeline.fit(estimator, small_bank(), frame, churned, seed=2, calibration_folds=2)
    assert differences(model, small_bank(), frame).max() > 1e-3
