"""A candidate against the version in production: on its own rows, on production's, and against the record."""

from __future__ import annotations

import numpy as np
import pytest

from app.bundle import GateResult
from app.contract import Scores
from training import regression
from training.auc import auc
from training.config import GateLimits
from training.pipeline import Labels
from training.regression import Rows

LIMITS = GateLimits()
EXACT = GateLimits(regression_standard_errors=0)


def _labels(seed: int, rows: int = 4000) -> tuple[Labels, Scores]:
    rng = np.random.default_rng(seed)
    scores = rng.beta(1, 3, rows)
    return (rng.random(rows) < scores).astype(np.int8), scores


def _noisy(scores: Scores, deviation: float = 0.2) -> Scores:
    return np.clip(scores + np.random.default_rng(1).normal(0, deviation, len(scores)), 0.001, 0.999)


def _gate(here: Rows, own: Rows | None = None, *, recorded: float = 0.76, limits: GateLimits = LIMITS) -> GateResult:
    return regression.gate(
        here,
        own,
        {"auc": recorded, "auc_low": recorded - 0.02, "auc_high": recorded + 0.02},
        candidate=auc(here.churned, here.candidate),
        version="3",
        limits=limits,
    )


def test_auc_is_compared_on_the_same_rows() -> None:
    churned, good = _labels(0)
    bad = _noisy(good)
    assert _gate(Rows(churned=churned, candidate=good, production=bad)).passed
    result = _gate(Rows(churned=churned, candidate=bad, production=good))
    assert not result.passed
    assert "version 3 in production" in result.detail
    assert "AUC worse by" in result.detail
    assert result.value is not None
    assert result.value > LIMITS.auc_loss_max


def test_equal_models_pass_without_any_tolerance() -> None:
    churned, scores = _labels(0)
    limits = GateLimits(auc_loss_max=0, brier_loss_max=0, regression_standard_errors=0)
    assert _gate(Rows(churned=churned, candidate=scores, production=scores), limits=limits).passed


def test_brier_is_compared_if_the_order_is_the_same() -> None:
    churned, scores = _labels(0)
    result = _gate(Rows(churned=churned, candidate=scores**0.3, production=scores))
    assert not result.passed
    assert "Brier worse by" in result.detail
    assert "AUC worse" not in result.detail


def test_a_loss_that_chance_may_explain_does_not_count() -> None:
    churned, scores = _labels(0, rows=150)
    rows = Rows(churned=churned, candidate=_noisy(scores, 0.05), production=scores)
    assert regression.compare(rows, "3").auc_loss.value > 0
    assert _gate(rows).passed
    assert not _gate(rows, limits=GateLimits(auc_loss_max=0, brier_loss_max=0, regression_standard_errors=0)).passed


def test_a_worthless_file_does_not_excuse_a_worthless_model() -> None:
    """On random labels all models are alike; on production's own rows the difference shows."""
    churned, scores = _labels(0)
    shuffled = np.random.default_rng(5).permutation(churned)
    worthless = np.full(len(scores), 0.25) + np.random.default_rng(6).normal(0, 0.01, len(scores))
    here = Rows(churned=shuffled, candidate=worthless, production=scores)
    own_churned, own_scores = _labels(9)
    own = Rows(churned=own_churned, candidate=worthless, production=own_scores)
    result = _gate(here, own)
    assert not result.passed
    assert "on those rows" in result.detail
    assert "on the 4,000 rows version 3 was promoted with" in result.detail


def test_the_recorded_figures_refuse_if_productions_rows_are_not_stored() -> None:
    churned, _ = _labels(0)
    shuffled = np.random.default_rng(5).permutation(churned)
    same = np.random.default_rng(6).beta(1, 3, len(churned))
    result = _gate(Rows(churned=shuffled, candidate=same, production=same))
    assert not result.passed
    assert "version 3 was promoted with 0.7600" in result.detail


def test_a_changed_world_is_a_question_for_a_person() -> None:
    """Better on today's rows and worse on the earlier ones: a person decides, and the ledger records it."""
    churned, scores = _labels(0)
    old_churned, old_scores = _labels(9)
    here = Rows(churned=churned, candidate=scores, production=_noisy(scores))
    own = Rows(churned=old_churned, candidate=_noisy(old_scores), production=old_scores)
    result = _gate(here, own)
    assert result.passed
    assert result.needs == "--acknowledge regression"
    assert "has the world changed?" in result.detail


def test_without_a_comparison_the_verdict_says_why_or_asks_for_a_person() -> None:
    nothing = regression.not_applicable("there is no production version yet")
    assert nothing.passed
    assert nothing.value is None
    assert nothing.needs is None
    other = regression.another_schema("4", "was made for another customer schema")
    assert other.passed
    assert other.needs == "--replace-schema"
    assert "version 4 in production was made for another customer schema" in other.detail


@pytest.mark.parametrize("repeats", [1, 4])
def test_the_error_of_an_auc_covers_the_truth_even_if_customers_repeat(repeats: int) -> None:
    """95 % intervals of 1,000 samples of 400 customers, each with so many rows."""
    rng = np.random.default_rng(3)
    covered = 0
    truth = auc(*_labels(1000, rows=400_000)).value
    for _ in range(1000):
        scores = rng.beta(1, 3, 400)
        churned = (rng.random(400) < scores).astype(np.int8)
        rows = np.repeat(np.arange(400), repeats)
        estimate = auc(churned[rows], scores[rows], rows)
        covered += abs(estimate.value - truth) < 1.96 * estimate.error
    assert 0.925 < covered / 1000 < 0.97
