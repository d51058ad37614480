"""The leak gate: features that know the answer, and models that know more than an honest model can."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from app.bundle import GateResult
from app.contract import Contract, Features
from training.auc import Clusters, Estimate, auc, standard_error
from training.config import GateLimits
from training.pipeline import Labels, Split

BINS: Final = 20
"""Bins of a number: fine enough for a range that gives the label away, coarse enough to be learnt from few rows."""


@dataclass(frozen=True, kw_only=True)
class SingleFeature:
    """What one feature tells by itself: the AUC, on the holdout, of its churn rates in the training part."""

    feature: str
    auc: Estimate


def single_features(
    contract: Contract, features: Features, churned: Labels, split: Split, clusters: Clusters
) -> list[SingleFeature]:
    """Measure every feature by itself, and sort them, the strongest first.

    Args:
        features: all customers, coded, shape (rows, features).
        churned: 0 or 1 of each row.
        split: the rates come from ``train``, the AUC from ``test``, so that no feature looks strong by chance.
        clusters: of the rows of ``test``.
    """
    singles = []
    for column, feature in enumerate(contract.features):
        bins = _binned(features[:, column], split, number=not feature.is_category)
        rates = _rates(bins[split.train], churned[split.train])
        singles.append(
            SingleFeature(feature=feature.name, auc=auc(churned[split.test], rates[bins[split.test]], clusters))
        )
    return sorted(singles, key=lambda one: one.auc.value, reverse=True)


def _binned(values: npt.NDArray[np.float32], split: Split, *, number: bool) -> npt.NDArray[np.int64]:
    if not number:
        return values.astype(np.int64)
    levels = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.unique(np.quantile(values[split.train], levels, method="inverted_cdf"))
    return np.searchsorted(edges, values, side="left").astype(np.int64)


def _rates(bins: npt.NDArray[np.int64], churned: Labels) -> npt.NDArray[np.float64]:
    """Churn rate of each bin, shrunk towards the overall rate as if by one more customer; an empty bin has that."""
    size = max(int(bins.max()) + 1, BINS + 1)
    overall = float(churned.mean())
    rows = np.bincount(bins, minlength=size)
    return (np.bincount(bins, weights=churned, minlength=size) + overall) / (rows + 1)


def gate(
    model: Estimate,
    single: list[SingleFeature],
    *,
    churners: int,
    stayers: int,
    ceiling_auc: float | None,
    limits: GateLimits,
) -> GateResult:
    """Check that the model does not know more than can be known, and that no feature is the label in disguise.

    A bound counts as exceeded if the AUC is above it by more than chance: by the number of standard errors that gives
    ``leak_error_rate`` for all features together (Bonferroni), so fewer rows and more features ask for more.

    Args:
        model: AUC on the holdout of ``churners`` and ``stayers`` rows.
        single: from :func:`single_features`.
        ceiling_auc: AUC of the true probabilities, for generated data; None if it is not known.
    """
    errors = -NormalDist().inv_cdf(limits.leak_error_rate / (len(single) + 1))
    surely = [(one, one.auc.low(errors)) for one in single]
    leaks = [one for one, low in surely if low > limits.leak_feature_auc]
    near = [one for one, low in surely if limits.near_leak_feature_auc < low <= limits.leak_feature_auc]
    above, detail, limit = (
        _unbounded(model, errors, limits)
        if ceiling_auc is None
        else _bounded(model, churners, stayers, ceiling_auc, limits)
    )
    needs = None
    if leaks:
        detail += f"; {_named(leaks)} alone nearly decides the label: was it written after the customer left? Remove it"
    elif near:
        detail += f"; {_named(near)} alone tells much about the label: was it known on the day of the prediction?"
        needs = "--acknowledge leak"
    elif not above and ceiling_auc is None and model.low(errors) > limits.near_leak_auc:
        detail += (
            f"; surely above {limits.near_leak_auc:g}, which churn models seldom reach: which feature knows so much?"
        )
        needs = "--acknowledge leak"
    passed = not leaks and not above
    return GateResult(
        name="leak", passed=passed, detail=detail, value=model.value, limit=limit, needs=needs if passed else None
    )


def _unbounded(model: Estimate, errors: float, limits: GateLimits) -> tuple[bool, str, float]:
    """Whether the model knows too much, the explanation and the limit, for data without a known ceiling."""
    above = model.low(errors) > limits.leak_auc
    words = "surely above" if above else "refused only when it is surely above"
    detail = f"AUC {model.value:.4f}: no known ceiling for this data; {words} {limits.leak_auc:g}"
    return above, f"{detail}, with {errors:.1f} standard errors to spare", limits.leak_auc


def _bounded(
    model: Estimate, churners: int, stayers: int, ceiling_auc: float, limits: GateLimits
) -> tuple[bool, str, float]:
    """The same for generated data, whose ceiling is known."""
    error = standard_error(ceiling_auc, churners, stayers)
    limit = ceiling_auc + limits.ceiling_standard_errors * error
    detail = (
        f"AUC {model.value:.4f}, ceiling of the data {ceiling_auc:.4f} + {limits.ceiling_standard_errors:g} standard "
        f"errors of {error:.4f} = {limit:.4f}"
    )
    if model.value > limit:
        detail += f": above it by {model.value - limit:.4f}, so a feature knows the answer"
    return model.value > limit, detail, limit


def _named(features: list[SingleFeature]) -> str:
    return " and ".join(f"{one.feature} (AUC {one.auc.value:.3f})" for one in features)
