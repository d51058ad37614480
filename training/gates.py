"""The checks a version must pass before an alias moves to it: pure functions from figures to a verdict in words."""

from __future__ import annotations

from typing import Final

import numpy as np

from app.bundle import GateResult
from training.config import GateLimits
from training.evaluate import Ranked, auc_standard_error
from training.pipeline import Labels, Scores

TAG: Final = "gate."
"""Before a gate's name in the key of a tag; the tag says its verdict and figures in words."""
PASSED: Final = "passed"
REFUSED: Final = "refused"


def verdict(results: list[GateResult]) -> str:
    """One word for all gates together."""
    return REFUSED if refusals(results) else PASSED


def to_tags(results: list[GateResult]) -> dict[str, str]:
    """One tag a gate, for people who look at a run or a version."""
    return {TAG + r.name: f"{PASSED if r.passed else REFUSED}: {r.detail}" for r in results}


def from_tags(tags: dict[str, str]) -> list[GateResult]:
    """The verdicts in :func:`to_tags`' words; ``value`` and ``limit`` stay in the detail."""
    results = []
    for key, text in sorted(tags.items()):
        if key.startswith(TAG):
            word, _, detail = text.partition(": ")
            results.append(GateResult(name=key.removeprefix(TAG), passed=word == PASSED, detail=detail))
    return results


def refusals(results: list[GateResult]) -> list[GateResult]:
    return [result for result in results if not result.passed]


def parity(native: Scores, exported: Scores, limits: GateLimits) -> GateResult:
    """The exported graph gives the native model's score on every row, to the float32 it computes in."""
    difference = np.abs(native - exported)
    worst = int(np.argmax(np.nan_to_num(difference, nan=np.inf)))
    value = float(difference[worst])
    limit = limits.parity_difference_max
    passed = bool(np.all(difference <= limit))  # a NaN score compares false, so it is refused
    detail = (
        f"largest difference between ONNX and native {value:.2e} on {len(native):,} rows (row {worst}: "
        f"{exported[worst]:.8f}, native {native[worst]:.8f}); limit {limit:.0e}"
    )
    return GateResult(
        name="parity", passed=passed, detail=detail, value=value if np.isfinite(value) else None, limit=limit
    )


def leak(auc: float, churners: int, stayers: int, ceiling_auc: float | None, limits: GateLimits) -> GateResult:
    """The model does not know more than can be known.

    Args:
        auc: on the holdout of ``churners`` and ``stayers`` rows.
        ceiling_auc: of the true probabilities, for generated data; None where nobody knows it. Then only an AUC that
            no honest model of churn reaches is refused.
    """
    if ceiling_auc is None:
        limit = limits.suspicious_auc
        verdict = "no known ceiling for this data; refused only above" if auc <= limit else "suspiciously good, above"
        return GateResult(
            name="leak", passed=auc <= limit, detail=f"AUC {auc:.4f}: {verdict} {limit:g}", value=auc, limit=limit
        )
    error = auc_standard_error(ceiling_auc, churners, stayers)
    limit = ceiling_auc + limits.ceiling_standard_errors * error
    detail = (
        f"AUC {auc:.4f}, ceiling of the data {ceiling_auc:.4f} + {limits.ceiling_standard_errors:g} standard errors of "
        f"{error:.4f} = {limit:.4f}"
    )
    if auc > limit:
        detail += f": above it by {auc - limit:.4f}, so a feature knows the answer"
    return GateResult(name="leak", passed=auc <= limit, detail=detail, value=auc, limit=limit)


def calibration(error: float, by_chance: float, limits: GateLimits) -> GateResult:
    """A score means a probability: the offers' threshold rests on it.

    Args:
        error: expected calibration error on the holdout.
        by_chance: what a perfectly calibrated model reaches by chance on as many rows
            (:func:`training.evaluate.calibration_by_chance`). On a small holdout it passes the configured bound, and
            an error below it proves nothing.
    """
    limit = max(limits.calibration_error_max, by_chance)
    detail = (
        f"expected calibration error {error:.4f} on the holdout; limit {limit:.4f} (the larger of "
        f"{limits.calibration_error_max:g} and {by_chance:.4f}, which chance alone reaches in 1 of 100 cases)"
    )
    if error > limit:
        detail += f", passed by {error - limit:.4f}"
    return GateResult(name="calibration", passed=error <= limit, detail=detail, value=error, limit=limit)


def regression(
    churned: Labels, candidate: Scores, production: Scores, production_version: str, limits: GateLimits
) -> GateResult:
    """Not worse than the present production version on the candidate's holdout, in AUC and in Brier score.

    ``value`` and ``limit`` are those of the AUC lost, or of the Brier score gained where that is what was refused.
    """
    new, old = Ranked(churned, candidate).metrics(), Ranked(churned, production).metrics()
    auc_loss, brier_loss = old["auc"] - new["auc"], new["brier"] - old["brier"]
    detail = (
        f"on the same {len(churned):,} held-out rows: AUC {new['auc']:.4f}, version {production_version} in production "
        f"{old['auc']:.4f} (may lose {limits.auc_loss_max:g}); Brier {new['brier']:.4f}, production {old['brier']:.4f} "
        f"(may gain {limits.brier_loss_max:g})"
    )
    worse = []
    if auc_loss > limits.auc_loss_max:
        worse.append(f"AUC worse by {auc_loss:.4f}")
    if brier_loss > limits.brier_loss_max:
        worse.append(f"Brier worse by {brier_loss:.4f}")
    by_brier = len(worse) == 1 and brier_loss > limits.brier_loss_max
    return GateResult(
        name="regression",
        passed=not worse,
        detail="; ".join([detail, *worse]),
        value=brier_loss if by_brier else auc_loss,
        limit=limits.brier_loss_max if by_brier else limits.auc_loss_max,
    )


def no_regression(reason: str) -> GateResult:
    """The regression gate where there is nothing to compare with."""
    return GateResult(name="regression", passed=True, detail=f"not applicable: {reason}")
