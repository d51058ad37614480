"""Figures of a model on its holdout, each with a bootstrap interval; nothing here fits anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline

from app.contract import NUMBER_BINS, Contract, Scores
from training.auc import Clusters
from training.config import CostModel
from training.pipeline import Indices, Labels

BINS: Final = 10
LIFT_SHARE: Final = 0.10
INTERVAL: Final = (2.5, 97.5)
_SMALLEST_PROBABILITY: Final = 1e-15
_CHANCE_SAMPLES: Final = 300
_ONE_IN_A_THOUSAND: Final = 3.09
"""Standard deviations of a normal distribution: a sum over bins is close to one."""
_IMPORTANCE_ROWS: Final = 5_000
_IMPORTANCE_REPEATS: Final = 3

METRICS: Final[dict[str, str]] = {
    "auc": "area under the ROC curve",
    "average_precision": "average precision",
    "brier": "Brier score",
    "log_loss": "log-loss, nats",
    "calibration_error": f"expected calibration error, {BINS} equal bins of customers",
    "lift_at_10": "churn among the 10 % with the highest scores, as a multiple of the overall churn",
}


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure on the holdout with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


class Ranked:
    """A holdout sorted by falling score, so that weighted metrics take one pass and no further sort."""

    def __init__(self, churned: Labels, scores: Scores) -> None:
        """Sort the rows.

        Args:
            churned: 0 or 1 of each row, shape (rows,), with at least one of each.
            scores: probability of churn of each row, shape (rows,).

        Raises:
            ValueError: only one class, so that no ranking can be judged.
        """
        if not 0 < int(churned.sum()) < len(churned):
            raise ValueError(f"{int(churned.sum())} of {len(churned)} rows are churners: both classes are needed")
        self.order = np.argsort(-scores, kind="stable")
        self._y = churned[self.order].astype(np.float64)
        self._p = scores[self.order]
        # The last row of each run of equal scores: a threshold can only be there.
        self._cuts = np.append(np.flatnonzero(np.diff(self._p)), len(scores) - 1)
        self._bins = np.linspace(0, len(scores), min(BINS, len(scores)) + 1).astype(int)[:-1]
        p = np.clip(self._p, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
        self._log_loss = -np.where(self._y == 1, np.log(p), np.log1p(-p))
        self._squares = (self._p - self._y) ** 2

    def metrics(self, weights: npt.NDArray[np.float64] | None = None) -> dict[str, float]:
        """All metrics, each row counting ``weights`` times (in sorted order); equal scores count as ties."""
        w = np.ones(len(self._y)) if weights is None else weights
        positive = np.cumsum(w * self._y)[self._cuts]
        everyone = np.cumsum(w)[self._cuts]
        negative = everyone - positive
        total, churners, stayers = everyone[-1], positive[-1], negative[-1]
        steps = np.diff(positive, prepend=0.0)
        # Trapezoids under the ROC curve: a tie counts half.
        auc = float(np.diff(negative, prepend=0.0) @ (positive - steps / 2)) / (churners * stayers)
        precision = np.divide(positive, everyone, out=np.zeros_like(positive), where=everyone > 0)
        binned = np.add.reduceat(w * (self._p - self._y), self._bins)
        top = np.interp(LIFT_SHARE * total, np.append(0.0, everyone), np.append(0.0, positive)) / LIFT_SHARE
        return {
            "auc": float(auc),
            "average_precision": float(steps @ precision / churners),
            "brier": float(w @ self._squares / total),
            "log_loss": float(w @ self._log_loss / total),
            "calibration_error": float(np.abs(binned).sum() / total),
            "lift_at_10": float(top / churners),
        }

    def bootstrap(self, count: int, seed: int, clusters: Clusters | None = None) -> list[dict[str, float]]:
        """Compute the metrics of ``count`` resamples with replacement; a resample with one class only is drawn again.

        Whole customers are drawn, with all their rows; ``clusters`` is as in :func:`training.auc.auc`.
        """
        rng = np.random.default_rng(seed)
        rows = len(self._y)
        customer = np.arange(rows) if clusters is None else clusters[self.order]
        customers = int(customer.max()) + 1
        drawn: list[dict[str, float]] = []
        while len(drawn) < count:
            drawn_customers = np.bincount(rng.integers(0, customers, customers), minlength=customers)
            weights = drawn_customers[customer].astype(np.float64)
            if 0 < weights @ self._y < weights.sum():
                drawn.append(self.metrics(weights))
        return drawn


def evaluate(
    churned: Labels, scores: Scores, *, bootstrap_count: int, seed: int, clusters: Clusters | None = None
) -> dict[str, Metric]:
    """Compute every metric of :data:`METRICS` with its interval (percentile bootstrap, Efron 1979).

    The interval of the calibration error is biased upwards: the error is a sum of absolute gaps, and resampling only
    adds noise to them. Read its value, not the middle of the interval.
    """
    ranked = Ranked(churned, scores)
    point = ranked.metrics()
    drawn = ranked.bootstrap(bootstrap_count, seed, clusters)
    intervals = {name: np.percentile([d[name] for d in drawn], INTERVAL) for name in METRICS}
    return {
        name: Metric(value=point[name], low=float(intervals[name][0]), high=float(intervals[name][1]))
        for name in METRICS
    }


def calibration_error(target: npt.NDArray[np.generic], scores: Scores) -> float:
    """Expected calibration error over :data:`BINS` equal bins of customers by score.

    Args:
        target: what the scores should mean, shape (rows,): labels, or true probabilities where they are known.
    """
    order = np.argsort(-scores, kind="stable")
    difference = (scores - target.astype(np.float64))[order]
    return float(sum(abs(part.sum()) for part in np.array_split(difference, BINS))) / len(scores)


def calibration_by_chance(scores: Scores, seed: int, clusters: Clusters | None = None) -> float:
    """The calibration error that perfectly calibrated scores pass in about 1 of 1,000 holdouts of this size.

    Labels are drawn from the scores themselves (consistency resampling, Bröcker and Smith 2007), once for all rows of a
    customer.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    customer = order if clusters is None else clusters[order]
    customers = int(customer.max()) + 1
    starts = np.linspace(0, len(ordered), min(BINS, len(ordered)) + 1).astype(int)[:-1]
    errors = []
    for _ in range(_CHANCE_SAMPLES):
        gap = ordered - (rng.random(customers)[customer] < ordered)
        errors.append(float(np.abs(np.add.reduceat(gap, starts)).sum()) / len(ordered))
    return float(np.mean(errors) + _ONE_IN_A_THOUSAND * np.std(errors, ddof=1))


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Figures of one group of customers; ``auc`` is None when the group holds one class only."""

    feature: str
    value: str
    rows: int
    churn_rate: float
    mean_score: float
    calibration_error: float
    auc: float | None


def _groups(values: pd.Series) -> pd.Series:
    """What a slice's rows are grouped by: the values, or their quarters if there are many."""
    if isinstance(values.dtype, pd.CategoricalDtype) or values.nunique() <= NUMBER_BINS:
        return values
    quarters = pd.qcut(values, 4, duplicates="drop")
    parts = list(quarters.cat.categories)
    names = [f"up to {parts[0].right:g}", *(f"over {part.left:g} to {part.right:g}" for part in parts[1:])]
    return quarters.cat.rename_categories(names)


def groups_of(contract: Contract, customers: pd.DataFrame) -> Iterator[tuple[str, str, Indices]]:
    """Each group of the contract's slices: the feature, its value (of a long range: the quarter), and the rows."""
    for feature in contract.slices:
        for value, rows in customers.groupby(_groups(customers[feature]), observed=True).indices.items():
            yield feature, f"{value:g}" if isinstance(value, float) else str(value), np.asarray(rows)


def evaluate_slices(contract: Contract, customers: pd.DataFrame, churned: Labels, scores: Scores) -> list[Slice]:
    """Compute the figures of every group of the contract's slices; :mod:`training.fairness` has the decisions."""
    slices = []
    for feature, value, rows in groups_of(contract, customers):
        y, p = churned[rows], scores[rows]
        slices.append(
            Slice(
                feature=feature,
                value=value,
                rows=len(y),
                churn_rate=float(y.mean()),
                mean_score=float(p.mean()),
                calibration_error=calibration_error(y, p),
                auc=Ranked(y, p).metrics()["auc"] if 0 < y.sum() < len(y) else None,
            )
        )
    return slices


def offer_value(churned: Labels, scores: Scores, threshold: float, cost: CostModel) -> float:
    """Net value of offers at ``threshold``, in currency per 1,000 customers; see :class:`CostModel`."""
    offered = scores >= threshold
    customers_kept = cost.retained_share * float(churned[offered].sum())
    return 1000 * (customers_kept * cost.customer_value - float(offered.sum()) * cost.offer_cost) / len(churned)


def importances(model: Pipeline, customers: pd.DataFrame, churned: Labels, seed: int) -> pd.DataFrame:
    """Loss of AUC when one feature is shuffled, on at most 5,000 rows: columns ``mean`` and ``deviation``."""
    rows = np.random.default_rng(seed).permutation(len(churned))[:_IMPORTANCE_ROWS]
    result = permutation_importance(
        model, customers.iloc[rows], churned[rows], scoring="roc_auc", n_repeats=_IMPORTANCE_REPEATS, random_state=seed
    )
    frame = pd.DataFrame({"mean": result.importances_mean, "deviation": result.importances_std}, customers.columns)
    return frame.sort_values("mean", ascending=False)
