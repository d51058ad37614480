from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline
from support.bundles import PASSED
from support.telco import FEATURE_NAMES, FEATURES, encode

from app import model as serving
from app.bundle import GOLDEN, MANIFEST, Golden
from app.contract import Features
from app.explain import Linear, Occlusion
from app.schemas import telco
from training import export, pipeline
from training.config import MODEL_TYPES, BuiltIn
from training.data import encode_frame
from training.generate import GeneratorConfig, generate
from training.onnx_graph import to_onnx
from training.tree_converters import round_down

ORIGIN = serving.Origin(version="1", source="test")


@dataclass(frozen=True)
class FittedModel:
    model: Pipeline
    customers: pd.DataFrame
    features: Features
    scores: np.ndarray


@lru_cache
def fitted(model_type: BuiltIn) -> FittedModel:
    generated = generate(GeneratorConfig(rows=10_000, seed=11)).customers
    total = generated["total_charges"].fillna(generated["tenure_months"] * generated["monthly_charges"])
    customers = generated[list(FEATURE_NAMES)].assign(total_charges=total)
    model = pipeline.fit(
        model_type, telco(), customers[:4000], generated["churned"].to_numpy()[:4000], seed=7, calibration_folds=2
    )
    return FittedModel(model, customers, encode_frame(telco(), customers, {}), pipeline.predict(model, customers))


def facts(model_type: BuiltIn) -> export.Facts:
    return export.Facts(
        contract=telco(),
        medians={},
        model_name="churn",
        model_type=model_type,
        run_id="r1",
        git_revision=None,
        dataset_sha256="0" * 64,
        threshold=0.25,
        metrics={"auc": 0.8},
    )


def write(folder: Path, model_type: BuiltIn) -> str:
    """Write a bundle; returns its digest."""
    it = fitted(model_type)
    export.write_files(
        folder,
        it.model,
        facts(model_type),
        train=it.features[:4000],
        everyone=it.features,
        holdout=it.customers[4000:],
        holdout_scores=it.scores[4000:],
    )
    return export.write_manifest(folder, facts(model_type), [PASSED])


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_the_graph_scores_10_000_customers_as_the_native_model_does(model_type: BuiltIn) -> None:
    it = fitted(model_type)
    assert np.abs(export.onnx_scores(to_onnx(it.model, telco()), it.features) - it.scores).max() < 1e-6


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_serving_loads_a_bundle_and_replays_its_golden_rows(tmp_path: Path, model_type: BuiltIn) -> None:
    digest = write(tmp_path, model_type)
    served = serving.load(tmp_path, ORIGIN, manifest_sha256=digest)
    assert served.manifest.model_type == model_type
    assert served.manifest.threshold == 0.25
    assert served.reference.rows == 10_000


def test_golden_rows_are_customers_as_a_client_sends_them(tmp_path: Path) -> None:
    write(tmp_path, "logistic_regression")
    golden = Golden.model_validate_json((tmp_path / GOLDEN).read_text())
    assert len(golden.rows) == export.GOLDEN_ROWS
    blank = [row for row in golden.rows if row.customer["total_charges"] is None]
    assert len(blank) == 8
    assert all("customer_id" not in row.customer for row in golden.rows)
    assert all(isinstance(row.customer["tenure_months"], int) for row in golden.rows)
    scores = [row.score for row in golden.rows]
    assert scores[-1] - scores[0] > 0.5


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_golden_scores_come_from_the_native_model(tmp_path: Path, model_type: BuiltIn) -> None:
    write(tmp_path, model_type)
    golden = Golden.model_validate_json((tmp_path / GOLDEN).read_text())
    coded = encode([row.customer for row in golden.rows])
    names = {f.name: dict(enumerate(f.categories)) for f in FEATURES if f.is_category}
    frame = pd.DataFrame(coded.astype(np.float64), columns=list(FEATURE_NAMES))
    for name, categories in names.items():
        frame[name] = frame[name].map(categories)
    expected = pipeline.predict(fitted(model_type).model, frame)
    assert np.abs(expected - [row.score for row in golden.rows]).max() < 1e-6


def test_contributions_of_the_linear_model_add_up_to_its_logit(tmp_path: Path) -> None:
    digest = write(tmp_path, "logistic_regression")
    served = serving.load(tmp_path, ORIGIN, manifest_sha256=digest)
    it = fitted("logistic_regression")
    assert isinstance(served.explainer, Linear)
    for row in range(0, 10_000, 500):
        explanation = served.explain(it.features[row : row + 1])
        logit = explanation.base + sum(explanation.contributions.values())
        native = np.log(it.scores[row] / (1 - it.scores[row]))
        assert logit == pytest.approx(native, abs=1e-6)


def test_contributions_are_measured_from_the_mean_of_the_training_customers() -> None:
    it = fitted("logistic_regression")
    explainer = export.explainer(telco(), it.model, it.features[:4000])
    assert isinstance(explainer, Linear)
    for column, feature in enumerate(FEATURES):
        weights = np.array(explainer.contributions[feature.name])
        values = it.features[:4000, column].astype(np.float64)
        each = weights[values.astype(int)] if feature.is_category else weights[0] * (values - weights[1])
        assert each.mean() == pytest.approx(0, abs=1e-4)


def test_boosting_is_explained_from_the_typical_customer() -> None:
    it = fitted("gradient_boosting")
    explainer = export.explainer(telco(), it.model, it.features)
    assert isinstance(explainer, Occlusion)
    typical = dict(zip(FEATURE_NAMES, explainer.reference, strict=True))
    assert typical["contract"] == 0
    assert typical["tenure_months"] == np.median(it.customers["tenure_months"])


def test_reference_bins_hold_every_row_once() -> None:
    it = fitted("logistic_regression")
    reference = export.reference(telco(), it.features, it.scores)
    for bins in [*reference.features.values(), reference.score]:
        assert sum(bins.proportions) == pytest.approx(1)
        if bins.edges is not None:
            assert len(bins.proportions) == len(bins.edges) + 1
            assert bins.edges == sorted(set(bins.edges))
    assert reference.features["senior_citizen"].edges == [0.0]
    assert len(reference.features["monthly_charges"].proportions) == 10
    assert reference.features["contract"].edges is None


def test_a_bin_holds_its_upper_edge() -> None:
    bins = export.number_bins(np.array([1.0, 1.0, 2.0, 3.0]))
    assert bins.edges == [1.0, 2.0]
    assert bins.proportions == [0.5, 0.25, 0.25]
    assert export.number_bins(np.array([5.0, 5.0])).proportions == [1.0]


def test_thresholds_round_down_so_that_no_float32_changes_sides() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(0, 1000, 5000).astype(np.float32)
    between = (values[:-1].astype(np.float64) + values[1:]) / 2
    thresholds = np.concatenate([between, values.astype(np.float64), np.nextafter(values.astype(np.float64), -np.inf)])
    rounded = round_down(thresholds)
    for x in values[:200]:
        assert np.array_equal(x <= rounded, np.float64(x) <= thresholds)


def test_the_manifest_is_stable_json_with_every_file(tmp_path: Path) -> None:
    write(tmp_path, "logistic_regression")
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    assert list(manifest["files"]) == ["explain.json", "golden.json", "model.onnx", "reference.json"]
    assert {path.name for path in tmp_path.iterdir()} == {*manifest["files"], MANIFEST}


def test_an_image_without_a_repository_states_its_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_GIT_REVISION", "abc123")
    assert export.git_revision() == "abc123"
