"""The table of classifiers: complete, repeatable and calibrated; native files load only with the types it lists."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import skops.io
from sklearn.pipeline import Pipeline
from support.contracts import small_bank, small_bank_customers

from app.bundle import Manifest, sha256
from training import native, pipeline
from training.boosting import EstimatorError
from training.config import CANDIDATES, MODEL_TYPES, BuiltIn, ModelType, VersionType
from training.estimators import KINDS, Params, built_in

BANK = small_bank()
CUSTOMERS = small_bank_customers(1500, 5).dropna()
LABELS = CUSTOMERS["left"].to_numpy(dtype=np.int8)
FRAME = CUSTOMERS[list(BANK.names)]


def fit(name: BuiltIn, params: Params | None = None) -> Pipeline:
    return pipeline.fit(built_in(name, params), BANK, FRAME, LABELS, seed=3, calibration_folds=2)


@lru_cache
def fitted(name: BuiltIn) -> Pipeline:
    return fit(name)


def test_training_serving_and_native_files_know_the_same_types() -> None:
    assert get_args(Manifest.model_fields["model_type"].annotation) == get_args(VersionType)
    assert set(native.TRUSTED_TYPES) == set(get_args(ModelType))
    assert tuple(KINDS) == MODEL_TYPES
    assert set(CANDIDATES) < set(MODEL_TYPES)


@pytest.mark.parametrize("name", MODEL_TYPES)
def test_each_default_is_within_its_range(name: BuiltIn) -> None:
    kind = KINDS[name]
    assert kind.space.keys() == kind.defaults.keys()
    for parameter, value in kind.defaults.items():
        part = kind.space[parameter]
        assert part.low <= value <= part.high
        assert isinstance(value, int) == part.integer


@pytest.mark.parametrize("name", MODEL_TYPES)
def test_the_same_seed_gives_the_same_scores(name: BuiltIn) -> None:
    assert np.array_equal(pipeline.predict(fit(name), FRAME), pipeline.predict(fitted(name), FRAME))


@pytest.mark.parametrize("name", MODEL_TYPES)
def test_each_hyper_parameter_counts(name: BuiltIn) -> None:
    """One that the classifier ignored would be searched for nothing."""
    few: dict[str, int | float] = {
        parameter: 20 for parameter in KINDS[name].space if parameter in {"max_iter", "n_estimators"}
    }
    before = pipeline.predict(fit(name, few), FRAME)
    for parameter, part in KINDS[name].space.items():
        changed = 30 if parameter in few else part.low
        assert not np.array_equal(pipeline.predict(fit(name, few | {parameter: changed}), FRAME), before), parameter


@pytest.mark.parametrize("name", MODEL_TYPES)
def test_the_calibration_reads_logits(name: BuiltIn) -> None:
    """The slope is about -1 on logits and -5 on probabilities, where a sigmoid gives no score near 0 or 1."""
    _, slope, _ = pipeline.classifier_parts(fitted(name))
    assert -2 < slope < -0.3


@pytest.mark.parametrize("name", MODEL_TYPES)
def test_a_native_file_loads_with_its_listed_types_alone(name: BuiltIn, tmp_path: Path) -> None:
    data = skops.io.dumps(fitted(name))
    (tmp_path / native.FILE).write_bytes(data)
    loaded = native.load_native(tmp_path / native.FILE, name, sha256(data))
    assert np.array_equal(pipeline.predict(loaded, FRAME), pipeline.predict(fitted(name), FRAME))
    assert native.untrusted_types(fitted(name), name) == []


@pytest.mark.parametrize(
    ("name", "library"), [("xgboost", "xgboost"), ("lightgbm", "lightgbm"), ("lightgbm", "onnxmltools")]
)
def test_a_library_that_is_not_installed_is_named_with_the_remedy(
    name: BuiltIn, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(EstimatorError, match=rf"^{library} cannot be imported .*: run `make boosting`, or install"):
        KINDS[name].make(1, {})
