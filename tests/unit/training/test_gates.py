from __future__ import annotations

import numpy as np
import pytest

from app.bundle import GateResult
from training import gates
from training.config import GateLimits
from training.evaluate import auc_standard_error

LIMITS = GateLimits()


def _labels(rows: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    scores = rng.beta(1, 3, rows)
    return (rng.random(rows) < scores).astype(np.int8), scores


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


def test_parity_refuses_scores_that_are_no_numbers() -> None:
    native = np.array([0.1, 0.2])
    assert not gates.parity(native, np.array([0.1, np.nan]), LIMITS).passed


def test_leak_refuses_an_auc_above_ceiling_and_three_standard_errors() -> None:
    limit = 0.84 + 3 * auc_standard_error(0.84, 1000, 3000)
    assert gates.leak(limit - 1e-6, 1000, 3000, 0.84, LIMITS).passed
    result = gates.leak(limit + 0.01, 1000, 3000, 0.84, LIMITS)
    assert not result.passed
    assert "above it by 0.0100" in result.detail
    assert result.limit == pytest.approx(limit)


def test_leak_without_a_ceiling_refuses_only_what_no_honest_model_reaches() -> None:
    passed = gates.leak(0.93, 1000, 3000, None, LIMITS)
    assert passed.passed
    assert "no known ceiling" in passed.detail
    refused = gates.leak(0.999, 1000, 3000, None, LIMITS)
    assert not refused.passed
    assert "0.9990" in refused.detail


def test_calibration_is_bounded_but_not_below_what_chance_alone_does() -> None:
    assert gates.calibration(0.04, 0.01, LIMITS).passed
    refused = gates.calibration(0.08, 0.01, LIMITS)
    assert not refused.passed
    assert "passed by 0.0300" in refused.detail
    assert gates.calibration(0.08, 0.09, LIMITS).passed


def test_regression_compares_auc_on_the_same_rows() -> None:
    churned, good = _labels()
    bad = np.clip(good + np.random.default_rng(1).normal(0, 0.2, len(good)), 0.001, 0.999)
    assert gates.regression(churned, good, bad, "3", LIMITS).passed
    result = gates.regression(churned, bad, good, "3", LIMITS)
    assert not result.passed
    assert "version 3 in production" in result.detail
    assert "AUC worse by" in result.detail
    assert result.value is not None
    assert result.value > LIMITS.auc_loss_max


def test_regression_allows_the_stated_tolerance() -> None:
    churned, scores = _labels()
    assert gates.regression(churned, scores, scores, "3", GateLimits(auc_loss_max=0, brier_loss_max=0)).passed


def test_regression_compares_brier_where_the_order_is_the_same() -> None:
    churned, scores = _labels()
    result = gates.regression(churned, scores**0.3, scores, "3", LIMITS)
    assert not result.passed
    assert "Brier worse by" in result.detail
    assert "AUC worse" not in result.detail
    assert result.limit == LIMITS.brier_loss_max


def test_a_gate_that_does_not_apply_says_why() -> None:
    result = gates.no_regression("there is no production version yet")
    assert result.passed
    assert result.value is None
    assert "no production version" in result.detail


def test_verdicts_survive_as_tags() -> None:
    results = [
        GateResult(name="leak", passed=False, detail="AUC 0.99: above", value=0.99, limit=0.9),
        GateResult(name="parity", passed=True, detail="equal"),
    ]
    assert gates.verdict(results) == "refused"
    assert gates.to_tags(results) == {"gate.leak": "refused: AUC 0.99: above", "gate.parity": "passed: equal"}
    restored = gates.from_tags(gates.to_tags(results) | {"stage": "None"})
    assert [(r.name, r.passed, r.detail) for r in restored] == [(r.name, r.passed, r.detail) for r in results]
