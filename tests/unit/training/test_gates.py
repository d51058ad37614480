from __future__ import annotations

import numpy as np
import pytest

from app.bundle import GateResult
from app.contract import Scores
from training import gates, leaks
from training.auc import Estimate, standard_error
from training.config import GateLimits
from training.evaluate import calibration_by_chance, calibration_error
from training.leaks import SingleFeature
from training.pipeline import CrossValidation, Labels

LIMITS = GateLimits()


def _labels(rows: int = 4000, seed: int = 0) -> tuple[Labels, Scores]:
    """Calibrated scores of an AUC of about 0.76, and labels drawn from them."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(1, 3, rows)
    return (rng.random(rows) < scores).astype(np.int8), scores


def _validation(auc: float) -> CrossValidation:
    return CrossValidation(model_type="logistic_regression", auc=(auc, auc))


def _skill(churned: Labels, scores: Scores, *, validated: float = 0.76, rate: float = 0.25) -> GateResult:
    train = (np.arange(4 * len(churned)) < rate * 4 * len(churned)).astype(np.int8)
    return gates.skill(churned, scores, np.arange(len(churned)), _validation(validated), train=train, limits=LIMITS)


def test_parity_looks_at_every_row() -> None:
    _, native = _labels()
    exported = native + 1e-7
    assert gates.parity(native, exported, LIMITS).passed
    exported[1234] += 0.03
    result = gates.parity(native, exported, LIMITS)
    assert not result.passed
    assert "row 1234" in result.detail
    assert result.value == pytest.approx(0.03, rel=1e-3)
    assert result.limit == 1e-5


def test_parity_refuses_scores_that_are_not_numbers() -> None:
    native = np.array([0.1, 0.2])
    assert not gates.parity(native, np.array([0.1, np.nan]), LIMITS).passed


def test_skill_passes_a_model_that_ranks_and_whose_scores_are_probabilities() -> None:
    result = _skill(*_labels())
    assert result.passed
    assert result.limit == 0.52
    assert result.value is not None
    assert 0.7 < result.value < 0.76


def test_skill_refuses_scores_unrelated_to_the_labels() -> None:
    churned, scores = _labels()
    result = _skill(churned, np.random.default_rng(1).permutation(scores), validated=0.5)
    assert not result.passed
    assert "no skill: cross-validated AUC 0.5000" in result.detail
    assert "Brier score" in result.detail
    assert "log-loss" in result.detail


def test_skill_says_how_many_churners_are_missing() -> None:
    churned, scores = _labels(120, seed=1)
    weak = 0.25 + 0.15 * (scores - scores.mean())
    noisy = weak + np.random.default_rng(3).normal(0, 0.1, len(weak))
    result = _skill(churned, np.clip(noisy, 0.01, 0.99), validated=0.6)
    assert not result.passed
    assert "not enough data: about" in result.detail
    assert "more churners are needed" in result.detail


def test_skill_refuses_a_holdout_with_hardly_any_churner() -> None:
    churned = np.zeros(200, dtype=np.int8)
    churned[:9] = 1
    result = _skill(churned, np.linspace(0.9, 0.1, 200))
    assert not result.passed
    assert "9 held-out customers of one class, 10 are needed" in result.detail


@pytest.mark.parametrize("validated", [0.60, 0.92])
def test_skill_refuses_a_cross_validation_that_contradicts_the_holdout(validated: float) -> None:
    result = _skill(*_labels(), validated=validated)
    assert not result.passed
    assert f"cross-validation ({validated:.4f}) and holdout contradict each other" in result.detail


def test_skill_refuses_a_good_order_with_worthless_probabilities() -> None:
    churned, scores = _labels()
    result = _skill(churned, np.sqrt(np.sqrt(scores)))
    assert not result.passed
    assert "Brier score" in result.detail
    assert "no skill:" not in result.detail


def _leak(auc: float, single: float, *, churners: int = 1000, ceiling: float | None = None) -> GateResult:
    model = Estimate(value=auc, error=standard_error(auc, churners, 3 * churners))
    alone = Estimate(value=single, error=standard_error(single, churners, 3 * churners))
    features = [SingleFeature(feature="total_charges", auc=alone)]
    return leaks.gate(model, features, churners=churners, stayers=3 * churners, ceiling_auc=ceiling, limits=LIMITS)


def test_leak_refuses_an_auc_above_ceiling_and_three_standard_errors() -> None:
    limit = 0.84 + 3 * standard_error(0.84, 1000, 3000)
    assert _leak(limit - 1e-6, 0.7, ceiling=0.84).passed
    result = _leak(limit + 0.01, 0.7, ceiling=0.84)
    assert not result.passed
    assert "above it by 0.0100" in result.detail
    assert result.limit == pytest.approx(limit)


def test_leak_without_a_ceiling_refuses_only_what_no_honest_model_reaches() -> None:
    passed = _leak(0.92, 0.7)
    assert passed.passed
    assert passed.needs is None
    assert "no known ceiling" in passed.detail
    asks = _leak(0.96, 0.7)
    assert asks.passed
    assert asks.needs == "--acknowledge leak"
    refused = _leak(0.999, 0.7)
    assert not refused.passed
    assert "0.9990" in refused.detail


def test_leak_names_the_feature_that_decides_and_asks_about_one_that_nearly_does() -> None:
    assert _leak(0.85, 0.8).needs is None
    near = _leak(0.9, 0.86)
    assert near.passed
    assert near.needs == "--acknowledge leak"
    assert "total_charges (AUC 0.860) alone tells much" in near.detail
    refused = _leak(0.97, 0.96)
    assert not refused.passed
    assert refused.needs is None
    assert "total_charges (AUC 0.960) alone nearly decides the label" in refused.detail


def test_leak_asks_for_more_evidence_if_there_are_few_rows() -> None:
    assert not _leak(0.96, 0.93).passed
    assert _leak(0.96, 0.93, churners=30).passed


def test_calibration_allows_for_chance_but_never_past_the_stated_maximum() -> None:
    assert gates.calibration(0.04, 0.01, 4000, LIMITS).passed
    refused = gates.calibration(0.08, 0.01, 4000, LIMITS)
    assert not refused.passed
    assert "exceeded by 0.0290" in refused.detail
    assert gates.calibration(0.08, 0.09, 200, LIMITS).passed
    large = gates.calibration(0.178, 0.178, 90, LIMITS)
    assert large.limit == LIMITS.calibration_chance_max
    assert large.passed


def test_calibration_refuses_if_chance_alone_exceeds_the_maximum() -> None:
    result = gates.calibration(0.01, 0.36, 50, LIMITS)
    assert not result.passed
    assert "not enough data: on 50 held-out rows" in result.detail
    assert "about 200 held-out rows are needed" in result.detail


def test_hardly_any_perfect_model_exceeds_calibration_by_chance_which_accounts_for_repeated_customers() -> None:
    passed, clustered = 0, 0
    for seed in range(200):
        churned, scores = _labels(200, seed)
        passed += calibration_error(churned, scores) > calibration_by_chance(scores, 0)
        three = np.repeat(np.arange(200), 3)
        clustered += calibration_error(churned[three], scores[three]) > calibration_by_chance(scores[three], 0, three)
    assert passed <= 2
    assert clustered <= 2
    _, scores = _labels(200)
    three = np.repeat(np.arange(200), 3)
    assert calibration_by_chance(scores[three], 0) < 0.8 * calibration_by_chance(scores[three], 0, three)


def test_verdicts_survive_as_tags() -> None:
    results = [
        GateResult(name="leak", passed=False, detail="AUC 0.99: above", value=0.99, limit=0.9),
        GateResult(name="parity", passed=True, detail="equal"),
    ]
    assert gates.verdict(results) == "refused"
    assert gates.to_tags(results) == {"gate.leak": "refused: AUC 0.99: above", "gate.parity": "passed: equal"}


def test_skill_of_a_model_from_elsewhere_needs_no_cross_validation_and_says_so() -> None:
    churned, scores = _labels()
    nobody = np.array([], dtype=np.int8)

    def skill(scores: Scores) -> GateResult:
        return gates.skill(churned, scores, np.arange(len(churned)), None, train=nobody, limits=LIMITS)

    honest = skill(scores)
    assert honest.passed
    assert honest.detail.endswith("no cross-validation: it was trained elsewhere")
    noise = skill(np.random.default_rng(1).permutation(scores))
    assert not noise.passed
    assert "no skill; " in noise.detail
    assert "not better than" in skill(np.sqrt(np.sqrt(scores))).detail


def test_parity_says_where_the_right_scores_come_from() -> None:
    scores = np.array([0.1, 0.2])
    result = gates.parity(scores, scores, LIMITS, origin="golden", rows="golden rows")
    assert "between ONNX and golden 0.00e+00 on 2 golden rows" in result.detail
