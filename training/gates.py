"""The gates that a version must pass before an alias moves to it: pure functions from figures to a verdict in words.

Gates with more to compute have their own modules: ``duplicates``, ``leaks`` and ``regression``.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from app.bundle import GateResult
from app.contract import Scores
from training.auc import Clusters, Estimate, auc, standard_error
from training.config import GateLimits
from training.evaluate import Ranked
from training.pipeline import CrossValidation, Labels

TAG: Final = "gate."
"""Prefix of a tag's key, before the name of the gate; the tag's value is its verdict and figures in words."""
PASSED: Final = "passed"
REFUSED: Final = "refused"


def verdict(results: list[GateResult]) -> str:
    """Sum up all gates in one word."""
    return REFUSED if refusals(results) else PASSED


def to_tags(results: list[GateResult]) -> dict[str, str]:
    """One tag for each gate, for people who look at a run; the manifest is what counts."""
    return {TAG + r.name: f"{PASSED if r.passed else REFUSED}: {r.detail}" for r in results}


def refusals(results: list[GateResult]) -> list[GateResult]:
    return [result for result in results if not result.passed]


def parity(
    native: Scores, exported: Scores, limits: GateLimits, *, origin: str = "native", rows: str = "rows"
) -> GateResult:
    """The exported graph gives the native model's score on every row, to the float32 it computes in.

    Args:
        native: the scores that are right, shape (rows,).
        exported: those of the graph.
        origin: where the right scores come from, in a word or two.
        rows: what was scored, in words.
    """
    difference = np.abs(native - exported)
    worst = int(np.argmax(np.nan_to_num(difference, nan=np.inf)))
    value = float(difference[worst])
    limit = limits.parity_difference_max
    passed = bool(np.all(difference <= limit))  # a NaN score compares false, so it is refused
    detail = (
        f"largest difference between ONNX and {origin} {value:.2e} on {len(native):,} {rows} (row {worst}: "
        f"{exported[worst]:.8f}, {origin} {native[worst]:.8f}); limit {limit:.0e}"
    )
    return GateResult(
        name="parity", passed=passed, detail=detail, value=value if np.isfinite(value) else None, limit=limit
    )


def skill(
    churned: Labels,
    scores: Scores,
    clusters: Clusters,
    validation: CrossValidation | None,
    *,
    train: Labels,
    limits: GateLimits,
) -> GateResult:
    """The model beats knowing nothing, by more than chance, and cross-validation does not contradict it.

    Knowing nothing is an AUC of 0.5, and for Brier score and log-loss the same churn rate for everybody.

    Args:
        churned: of the holdout, shape (rows,).
        scores: likewise.
        clusters: likewise, see :func:`training.auc.auc`.
        validation: of the same kind of model on the training part; None for a model that was trained elsewhere.
        train: labels of the training part; none if it is not known.
    """
    churners = int(churned.sum())
    smaller = min(churners, len(churned) - churners)
    if smaller < limits.churners_min:
        few = f"{smaller} held-out customers of one class, {limits.churners_min} are needed"
        return GateResult(name="skill", passed=False, detail=f"not enough data: {few}", value=None, limit=None)
    estimate = auc(churned, scores, clusters)
    low = estimate.low(limits.skill_standard_errors)
    bound = 0.5 + limits.skill_margin
    detail = (
        f"AUC {estimate.value:.4f}, surely above {low:.4f} ({limits.skill_standard_errors:g} standard errors of "
        f"{estimate.error:.4f}); {bound:g} is needed, 0.5 is no skill"
    )
    reasons = _no_skill(estimate, validation, train=train, holdout=churned, limits=limits)
    if validation is None:
        detail += "; no cross-validation: it was trained elsewhere"
    # Without a training part the rate is the holdout's own, which is harder to beat.
    reasons += _worse_than_base_rate(churned, scores, rate=float((train if len(train) else churned).mean()))
    return GateResult(name="skill", passed=not reasons, detail="; ".join([detail, *reasons]), value=low, limit=bound)


def _no_skill(
    estimate: Estimate, validation: CrossValidation | None, *, train: Labels, holdout: Labels, limits: GateLimits
) -> list[str]:
    """List what speaks against skill in the AUC on the holdout and in cross-validation."""
    reasons = []
    bound = 0.5 + limits.skill_margin
    if min(estimate.value, validation.mean if validation else 1.0) <= bound:
        reasons.append("no skill" + (f": cross-validated AUC {validation.mean:.4f}" if validation else ""))
    elif estimate.low(limits.skill_standard_errors) <= bound:
        reasons.append(_not_enough(estimate, train=train, holdout=holdout, limits=limits))
    if validation is not None:
        reasons += _contradiction(estimate, validation, train=train, holdout=holdout, limits=limits)
    return reasons


def _contradiction(
    estimate: Estimate, validation: CrossValidation, *, train: Labels, holdout: Labels, limits: GateLimits
) -> list[str]:
    """Say by how much holdout and cross-validation differ, if that is more than chance."""
    difference = estimate.value - validation.mean
    churners = int(holdout.sum())
    error = max(estimate.error, standard_error(validation.mean, churners, len(holdout) - churners))
    # Cross-validation uses all training rows, so its own error is smaller by the root of the ratio of rows.
    allowed = limits.contradiction_standard_errors * error * (1 + len(holdout) / len(train)) ** 0.5
    if abs(difference) <= allowed:
        return []
    contradiction = (
        f"cross-validation ({validation.mean:.4f}) and holdout contradict each other: they differ by "
        f"{abs(difference):.4f}, chance allows {allowed:.4f}"
    )
    return [contradiction]


def _not_enough(estimate: Estimate, *, train: Labels, holdout: Labels, limits: GateLimits) -> str:
    """Say how many more churners a model with this AUC needs to pass: its error falls with the root of their number."""
    error_allowed = (estimate.value - 0.5 - limits.skill_margin) / limits.skill_standard_errors
    churners = int(train.sum()) + int(holdout.sum())
    more = math.ceil(churners * ((estimate.error / error_allowed) ** 2 - 1))
    return f"not enough data: about {max(more, 1):,} more churners are needed to tell such a model from chance"


def _worse_than_base_rate(churned: Labels, scores: Scores, *, rate: float) -> list[str]:
    model = Ranked(churned, scores).metrics()
    nothing = Ranked(churned, np.full(len(churned), rate)).metrics()
    return [
        f"{words} {model[name]:.4f}, not better than {nothing[name]:.4f} of the churn rate {rate:.3f} for everybody"
        for name, words in {"brier": "Brier score", "log_loss": "log-loss"}.items()
        if not model[name] < nothing[name]
    ]


def calibration(error: float, by_chance: float, rows: int, limits: GateLimits) -> GateResult:
    """Check that a score is a probability: the threshold for offers relies on it.

    Args:
        error: expected calibration error on the holdout.
        by_chance: the error that a perfectly calibrated model reaches by chance on as many rows
            (:func:`training.evaluate.calibration_by_chance`). Both errors add up like those of independent causes, so
            the limit is the root of the sum of their squares.
        rows: of the holdout.
    """
    limit = min(float(np.hypot(limits.calibration_error_max, by_chance)), limits.calibration_chance_max)
    if by_chance > limits.calibration_chance_max:
        needed = math.ceil(rows * (by_chance / limits.calibration_chance_max) ** 2)
        detail = (
            f"not enough data: on {rows:,} held-out rows a perfect model may show an error of {by_chance:.4f}, so an "
            f"error below {limits.calibration_chance_max:g} cannot be confirmed; about {needed:,} held-out rows are "
            "needed"
        )
        return GateResult(name="calibration", passed=False, detail=detail, value=error, limit=limit)
    detail = (
        f"expected calibration error {error:.4f} on the holdout; limit {limit:.4f}, from "
        f"{limits.calibration_error_max:g} for the model itself and {by_chance:.4f} that chance alone reaches "
        f"in 1 of 1,000 cases; never above {limits.calibration_chance_max:g}"
    )
    if error > limit:
        detail += f", exceeded by {error - limit:.4f}"
    return GateResult(name="calibration", passed=error <= limit, detail=detail, value=error, limit=limit)
