from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bundles import random_customers
from support.telco import FEATURE_NAMES, FEATURES, encode

from app.contract import Features
from app.explain import Linear, Occlusion
from app.model import Model, load

_CUSTOMERS = encode(random_customers(3000, seed=11))


@pytest.fixture(scope="module")
def linear(bundle: Path) -> Model:
    return load(bundle)


@pytest.fixture(scope="module")
def boosting(boosting_bundle: Path) -> Model:
    return load(boosting_bundle)


@pytest.fixture(scope="module", params=["linear", "boosting"])
def model(request: pytest.FixtureRequest) -> Model:
    chosen: Model = request.getfixturevalue(request.param)
    return chosen


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


@given(size=st.integers(1, 600), start=st.integers(0, 2400))
def test_a_batch_scores_each_row_to_the_bit_as_the_row_alone(model: Model, size: int, start: int) -> None:
    batch = _CUSTOMERS[start : start + size]
    whole = model.score(batch)
    assert whole.shape == (size,)
    assert np.all((whole >= 0) & (whole <= 1))
    for i in {0, size // 2, size - 1}:
        assert model.score(batch[i : i + 1])[0] == whole[i]


def test_a_row_scores_the_same_in_every_position(model: Model) -> None:
    batch = _CUSTOMERS[:257]
    order = np.random.default_rng(0).permutation(len(batch))
    assert np.array_equal(model.score(batch[order]), model.score(batch)[order])


def test_scores_differ_between_customers(model: Model) -> None:
    assert len(set(model.score(_CUSTOMERS[:100]).tolist())) > 90


@pytest.mark.parametrize(
    ("score", "decision", "band"),
    [
        (0.0, "stay", "low"),
        (0.2999999, "stay", "low"),
        (0.3, "churn", "medium"),
        (0.6499999, "churn", "medium"),
        (0.65, "churn", "high"),
        (1.0, "churn", "high"),
    ],
)
def test_decisions_and_bands_begin_at_their_thresholds(linear: Model, score: float, decision: str, band: str) -> None:
    assert linear.thresholds.decide(score) == (decision, band)
    assert linear.thresholds.decide_all(np.array([score])) == ([decision], [band])


@pytest.mark.parametrize("row", range(20))
def test_a_linear_explanation_adds_up_to_the_logit(linear: Model, row: int) -> None:
    customer = _CUSTOMERS[row : row + 1]
    explanation = linear.explain(customer)
    assert explanation.method == "linear"
    assert list(explanation.contributions) == list(FEATURE_NAMES)
    total = explanation.base + sum(explanation.contributions.values())
    # The explanation is in double precision, the score in single: they differ only by rounding.
    assert total == pytest.approx(_logit(linear.score(customer)[0]), abs=2e-6)


def test_a_linear_contribution_is_the_weight_of_the_value(linear: Model) -> None:
    explainer = linear.explainer
    assert isinstance(explainer, Linear)
    for i, feature in enumerate(FEATURES):
        value = float(_CUSTOMERS[0, i])
        weights = explainer.contributions[feature.name]
        expected = weights[int(value)] if feature.is_category else weights[0] * (value - weights[1])
        assert linear.explain(_CUSTOMERS[:1]).contributions[feature.name] == expected


def test_a_contribution_by_occlusion_is_the_change_of_the_logit(boosting: Model) -> None:
    explainer = boosting.explainer
    assert isinstance(explainer, Occlusion)
    customer = _CUSTOMERS[7:8]
    explanation = boosting.explain(customer)
    assert explanation.method == "occlusion"
    reference: Features = np.array([explainer.reference], dtype=np.float32)
    assert explanation.base == pytest.approx(_logit(boosting.score(reference)[0]))
    whole = _logit(boosting.score(customer)[0])
    for i, name in enumerate(FEATURE_NAMES):
        occluded = customer.copy()
        occluded[0, i] = reference[0, i]
        assert explanation.contributions[name] == pytest.approx(whole - _logit(boosting.score(occluded)[0]))
    assert any(abs(c) > 0.01 for c in explanation.contributions.values())


def test_the_reference_customer_has_nothing_to_explain(boosting: Model) -> None:
    assert isinstance(boosting.explainer, Occlusion)
    reference = np.array([boosting.explainer.reference], dtype=np.float32)
    assert set(boosting.explain(reference).contributions.values()) == {0.0}


def test_an_explanation_leaves_the_customer_as_it_was(model: Model) -> None:
    before = _CUSTOMERS[:1].copy()
    model.explain(_CUSTOMERS[:1])
    assert np.array_equal(before, _CUSTOMERS[:1])


def test_a_score_of_zero_or_one_is_explained_with_finite_numbers(
    boosting: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Model, "score", lambda _, rows: np.arange(len(rows)) % 2 * 1.0)
    explanation = boosting.explain(_CUSTOMERS[:1])
    assert all(math.isfinite(c) for c in (*explanation.contributions.values(), explanation.base))


def test_a_loaded_model_is_never_changed(linear: Model) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        linear.loaded_at = 0.0  # type: ignore[misc]  # the attempt that must fail
