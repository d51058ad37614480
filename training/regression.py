"""The regression gate: not worse than production on the new holdout, nor on the one production was promoted with.

The new holdout alone would let a worthless file excuse a worthless model: on random labels nobody is better than
anybody. So the candidate is also compared on production's own holdout, and its AUC with the one recorded then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.bundle import GateResult
from app.contract import Scores
from training.auc import Estimate, auc_difference, mean_difference
from training.config import GateLimits
from training.evaluate import Ranked
from training.pipeline import Labels

NAME: Final = "regression"
_INTERVAL_ERRORS: Final = 3.92
"""Standard errors in the width of a 95 % interval."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Labelled customers, scored by the candidate and by production, all of shape (rows,)."""

    churned: Labels
    candidate: Scores
    production: Scores


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a candidate loses against production on the same rows; a negative loss is a gain."""

    auc_loss: Estimate
    brier_loss: Estimate
    detail: str

    def worse(self, limits: GateLimits) -> list[str]:
        """List what got worse by more than the limit and chance together."""
        errors = limits.regression_standard_errors
        reasons = []
        if self.auc_loss.low(errors) > limits.auc_loss_max:
            reasons.append(f"AUC worse by {self.auc_loss.value:.4f}")
        if self.brier_loss.low(errors) > limits.brier_loss_max:
            reasons.append(f"Brier worse by {self.brier_loss.value:.4f}")
        return reasons

    def better(self, limits: GateLimits) -> bool:
        """Whether the candidate is better in AUC by more than chance."""
        return self.auc_loss.value + limits.regression_standard_errors * self.auc_loss.error < 0


def compare(rows: Rows, version: str) -> Comparison:
    """Compare a candidate with production on the same rows."""
    new, old = (Ranked(rows.churned, scores).metrics() for scores in (rows.candidate, rows.production))
    labels = rows.churned.astype(float)
    return Comparison(
        auc_loss=auc_difference(rows.churned, rows.production, rows.candidate),
        brier_loss=mean_difference((rows.candidate - labels) ** 2, (rows.production - labels) ** 2),
        detail=(
            f"AUC {new['auc']:.4f}, version {version} in production {old['auc']:.4f}; Brier {new['brier']:.4f}, "
            f"production {old['brier']:.4f}"
        ),
    )


def gate(
    here: Rows,
    own: Rows | None,
    recorded: dict[str, float],
    *,
    candidate: Estimate,
    version: str,
    limits: GateLimits,
) -> GateResult:
    """Judge a candidate against the version in production.

    Args:
        here: the candidate's own holdout.
        own: the holdout that production was promoted with; None if it is not stored.
        recorded: production's figures at that time, with the ends of their intervals.
        candidate: its AUC on its own holdout.
    """
    on_new = compare(here, version)
    loss = f"may lose {limits.auc_loss_max:g} of AUC and {limits.brier_loss_max:g} of Brier beyond chance"
    detail = [f"on the same {len(here.churned):,} held-out rows: {on_new.detail} ({loss})"]
    worse = on_new.worse(limits)
    then: list[str] = []
    if own is not None:
        on_own = compare(own, version)
        detail.append(f"on the {len(own.churned):,} rows version {version} was promoted with: {on_own.detail}")
        then += [f"{reason} on those rows" for reason in on_own.worse(limits)]
    then += _below_the_record(recorded, candidate, version, limits)
    # A changed world looks like this: better on the new rows, worse on the old ones. So does a poisoned file.
    person = bool(then) and not worse and on_new.better(limits)
    if person:
        detail.append("better on the new rows, worse than what production was promoted with: has the world changed?")
    return GateResult(
        name=NAME,
        passed=person or not (worse or then),
        detail="; ".join([*detail, *worse, *then]),
        value=on_new.auc_loss.value,
        limit=limits.auc_loss_max,
        needs=f"--acknowledge {NAME}" if person else None,
    )


def _below_the_record(recorded: dict[str, float], candidate: Estimate, version: str, limits: GateLimits) -> list[str]:
    """Report an AUC of the candidate on its holdout that is surely below the one production was promoted with."""
    if not {"auc", "auc_low", "auc_high"} <= recorded.keys():
        return []
    error = (recorded["auc_high"] - recorded["auc_low"]) / _INTERVAL_ERRORS
    errors = limits.regression_standard_errors
    allowed = limits.auc_loss_max + errors * (candidate.error**2 + error**2) ** 0.5
    loss = recorded["auc"] - candidate.value
    if loss <= allowed:
        return []
    reason = (
        f"AUC {candidate.value:.4f} on its own rows, while version {version} was promoted with {recorded['auc']:.4f} "
        f"on its own: worse by {loss:.4f}, chance and limit allow {allowed:.4f}"
    )
    return [reason]


def not_applicable(reason: str) -> GateResult:
    """The verdict if there is nothing to compare with."""
    return GateResult(name=NAME, passed=True, detail=f"not applicable: {reason}")


def another_schema(version: str, reason: str) -> GateResult:
    """The verdict if no comparison with production is possible: a person decides whether to replace it."""
    return GateResult(
        name=NAME,
        passed=True,
        detail=f"version {version} in production {reason}: nothing shows that this one is not worse",
        needs="--replace-schema",
    )
