"""The area under the ROC curve with its standard error, alone and as the difference of two models on the same rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from app.contract import Scores
from training.pipeline import Labels


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure and its standard error."""

    value: float
    error: float

    def low(self, standard_errors: float) -> float:
        return self.value - standard_errors * self.error


Clusters: TypeAlias = npt.NDArray[np.int64]
"""A number for each row, equal for the rows of one customer: those tell less than the same number of customers."""


def auc(churned: Labels, scores: Scores, clusters: Clusters | None = None) -> Estimate:
    """AUC after DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988), by ranks (Sun and Xu, 2014): O(n log n).

    With clusters the error is that of Obuchowski (Biometrics 53, 1997).

    Args:
        churned: 0 or 1 of each row, shape (rows,), with both.
        scores: probability of churn of each row, shape (rows,).
        clusters: shape (rows,); None when each row is a customer of its own.
    """
    value, influence = _influence(churned, scores)
    by_customer = influence if clusters is None else np.bincount(clusters, weights=influence).astype(np.float64)
    return Estimate(value=value, error=_error(by_customer))


def auc_difference(churned: Labels, first: Scores, second: Scores) -> Estimate:
    """AUC of ``first`` minus that of ``second``; the error takes into account that the rows are the same."""
    a, of_a = _influence(churned, first)
    b, of_b = _influence(churned, second)
    return Estimate(value=a - b, error=_error(of_a - of_b))


def mean_difference(first: Scores, second: Scores) -> Estimate:
    """Mean of ``first`` minus mean of ``second``, row by row, of two losses for example."""
    difference = first - second
    return Estimate(value=float(difference.mean()), error=float(difference.std(ddof=1)) / np.sqrt(len(difference)))


def standard_error(auc: float, churners: int, stayers: int) -> float:
    """Standard error of an AUC from its value alone (Hanley and McNeil, Radiology 143, 1982, formula 2)."""
    q1, q2 = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    variance = auc * (1 - auc) + (churners - 1) * (q1 - auc * auc) + (stayers - 1) * (q2 - auc * auc)
    return float(np.sqrt(max(variance, 0.0) / (churners * stayers)))


def _influence(churned: Labels, scores: Scores) -> tuple[float, npt.NDArray[np.float64]]:
    """The AUC, and by how much each row moves it from its mean."""
    positive = churned == 1
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        raise ValueError(f"{m} of {len(churned)} rows are churners: both classes are needed")
    ranks = _ranks(scores)
    # The share of the other class that each row is on the right side of; a tie counts half.
    placement = np.empty(len(scores))
    placement[positive] = (ranks[positive] - _ranks(scores[positive])) / n
    placement[~positive] = 1 - (ranks[~positive] - _ranks(scores[~positive])) / m
    value = float(placement[positive].mean())
    return value, np.where(positive, (placement - value) / m, (placement - value) / n)


def _ranks(values: Scores) -> Scores:
    """Ranks from 1; equal values share the mean of their ranks."""
    return np.asarray(pd.Series(values).rank(), dtype=np.float64)


def _error(influence: npt.NDArray[np.float64]) -> float:
    units = len(influence)
    return float(np.sqrt(influence @ influence * units / max(units - 1, 1)))
