"""Turns scores into decisions and risk bands: one rule for single requests, batches and files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from app.bundle import Manifest
from app.contract import Scores

DECISIONS: Final = ("stay", "churn")
RISK_BANDS: Final = ("low", "medium", "high")

Codes: TypeAlias = npt.NDArray[np.int64]
"""Indices of DECISIONS or of RISK_BANDS, shape (rows,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The scores at which a decision or a band begins; a score on a bound belongs to what begins there."""

    churn: float
    """Chosen by the cost model."""
    medium: float
    high: float

    @classmethod
    def of(cls, manifest: Manifest) -> Thresholds:
        bands = manifest.risk_bands
        return cls(churn=manifest.threshold, medium=bands.medium, high=bands.high)

    @overload
    def codes(self, score: float) -> tuple[int, int]: ...

    @overload
    def codes(self, score: Scores) -> tuple[Codes, Codes]: ...

    def codes(self, score: float | Scores) -> tuple[int, int] | tuple[Codes, Codes]:
        """Return the index in DECISIONS and the one in RISK_BANDS, for one score or for an array of scores.

        Plain arithmetic serves both: a single score in an array of one would cost its request microseconds.
        """
        decision = (score >= self.churn) * 1
        band = (score >= self.medium) * 1 + (score >= self.high)
        return decision, band  # type: ignore[return-value]  # both results are of the same kind as the score

    def decide(self, score: float) -> tuple[str, str]:
        """The decision and the risk band of one score."""
        decision, band = self.codes(score)
        return DECISIONS[decision], RISK_BANDS[band]

    def decide_all(self, scores: Scores) -> tuple[list[str], list[str]]:
        """The decision and the risk band of each score."""
        decisions, bands = self.codes(scores)
        return [DECISIONS[i] for i in decisions.tolist()], [RISK_BANDS[i] for i in bands.tolist()]
