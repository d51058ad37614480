from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from app.schemas import telco
from training import evaluate
from training.auc import standard_error
from training.config import CostModel
from training.evaluate import Ranked

SLICED = telco().model_copy(update={"slices": ("senior_citizen", "gender", "contract")})


def _sample(rows: int = 2000, seed: int = 0, decimals: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.beta(1, 3, rows).round(decimals).clip(0.001, 0.999)
    return (rng.random(rows) < scores).astype(np.int8), scores


@pytest.mark.parametrize("decimals", [8, 1], ids=["distinct scores", "many ties"])
def test_metrics_equal_scikit_learns(decimals: int) -> None:
    churned, scores = _sample(decimals=decimals)
    metrics = Ranked(churned, scores).metrics()
    assert metrics["auc"] == pytest.approx(roc_auc_score(churned, scores), abs=1e-12)
    assert metrics["average_precision"] == pytest.approx(average_precision_score(churned, scores), abs=1e-12)
    assert metrics["brier"] == pytest.approx(brier_score_loss(churned, scores), abs=1e-12)
    assert metrics["log_loss"] == pytest.approx(log_loss(churned, scores), abs=1e-12)


def test_weights_count_rows_as_often_as_they_occur() -> None:
    churned, scores = _sample(300, decimals=2)
    ranked = Ranked(churned, scores)
    weights = np.random.default_rng(1).integers(0, 4, 300)
    metrics = ranked.metrics(weights.astype(float))
    rows = np.repeat(ranked.order, weights)
    for name in ("auc", "average_precision", "brier", "log_loss", "lift_at_10"):
        assert metrics[name] == pytest.approx(Ranked(churned[rows], scores[rows]).metrics()[name], abs=1e-12)


def test_lift_is_the_churn_of_the_top_tenth_over_the_overall_churn() -> None:
    scores = np.linspace(1, 0, 100)
    churned = np.zeros(100, dtype=np.int8)
    churned[:5] = 1
    churned[50:55] = 1
    assert Ranked(churned, scores).metrics()["lift_at_10"] == pytest.approx(0.5 / 0.1)


def test_calibration_error_is_the_mean_gap_of_ten_groups() -> None:
    scores = np.full(1000, 0.4)
    churned = np.tile([1, 0, 0, 0, 0], 200).astype(np.int8)
    assert evaluate.calibration_error(churned, scores) == pytest.approx(0.2)
    assert Ranked(churned, scores).metrics()["calibration_error"] == pytest.approx(0.2)
    assert evaluate.calibration_error(scores, scores) == 0


def test_intervals_contain_the_value_and_shrink_with_more_rows() -> None:
    small = evaluate.evaluate(*_sample(500), bootstrap_count=200, seed=1)
    large = evaluate.evaluate(*_sample(20_000), bootstrap_count=200, seed=1)
    for name in ("auc", "average_precision", "brier", "log_loss", "lift_at_10"):
        assert small[name].low < small[name].value < small[name].high
        assert large[name].high - large[name].low < 0.5 * (small[name].high - small[name].low)


def test_the_bootstrap_spread_agrees_with_the_formula_of_hanley_and_mcneil() -> None:
    churned, scores = _sample(3000)
    ranked = Ranked(churned, scores)
    spread = np.std([draw["auc"] for draw in ranked.bootstrap(300, 2)])
    churners = int(churned.sum())
    formula = standard_error(ranked.metrics()["auc"], churners, 3000 - churners)
    assert formula == pytest.approx(spread, rel=0.2)


def test_the_same_seed_gives_the_same_intervals() -> None:
    sample = _sample(500)
    assert evaluate.evaluate(*sample, bootstrap_count=100, seed=5) == evaluate.evaluate(
        *sample, bootstrap_count=100, seed=5
    )


def test_one_class_alone_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="0 of 3 rows are churners"):
        Ranked(np.zeros(3, dtype=np.int8), np.array([0.1, 0.2, 0.3]))


def test_chance_makes_a_small_holdout_look_uncalibrated() -> None:
    _, few = _sample(200)
    _, many = _sample(20_000)
    assert evaluate.calibration_by_chance(few, 1) > 0.05
    assert evaluate.calibration_by_chance(many, 1) < 0.02


def test_slices_show_a_group_where_the_model_is_wrong() -> None:
    churned, scores = _sample(4000)
    rng = np.random.default_rng(3)
    customers = pd.DataFrame(
        {
            "senior_citizen": rng.integers(0, 2, 4000).astype(float),
            "gender": rng.choice(["Female", "Male"], 4000),
            "contract": pd.Categorical(rng.choice(["One year", "Two year"], 4000)),
        }
    )
    wrong = (customers["contract"] == "Two year").to_numpy()
    shifted = np.where(wrong, (scores + 0.3).clip(max=0.99), scores)
    slices = {(s.feature, s.value): s for s in evaluate.evaluate_slices(SLICED, customers, churned, shifted)}
    assert set(slices) == {
        ("senior_citizen", "0"),
        ("senior_citizen", "1"),
        ("gender", "Female"),
        ("gender", "Male"),
        ("contract", "One year"),
        ("contract", "Two year"),
    }
    assert slices["contract", "Two year"].calibration_error > 0.25
    assert slices["contract", "One year"].calibration_error < 0.05
    assert slices["contract", "One year"].rows == int((~wrong).sum())


def test_offers_pay_most_at_the_threshold_of_the_cost_model() -> None:
    cost = CostModel(offer_cost=40, customer_value=600, retained_share=0.3)
    churned, scores = _sample(200_000)
    best = evaluate.offer_value(churned, scores, cost.threshold, cost)
    assert best > evaluate.offer_value(churned, scores, 0.5, cost)
    assert best > evaluate.offer_value(churned, scores, 0.05, cost)
    one = evaluate.offer_value(np.array([1, 0], dtype=np.int8), np.array([0.9, 0.1]), cost.threshold, cost)
    assert one == pytest.approx(1000 * (0.3 * 600 - 40) / 2)
