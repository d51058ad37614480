"""The plots of a run, one PNG each; what they show is computed in :mod:`training.evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve

from app.contract import Scores
from training.config import CostModel
from training.evaluate import BINS, Metric, offer_value
from training.fairness import FALSE_NEGATIVE, FALSE_POSITIVE, SELECTION, Group
from training.pipeline import Labels

mpl.use("Agg")  # training has no display

from matplotlib.axes import Axes  # the backend must be chosen first
from matplotlib.figure import Figure

_DPI: Final = 110
_POINTS_MAX: Final = 2_000
_LIFT_FROM: Final = 0.01
_CHURN, _GREY, _LIFT = "#b3261e", "#8a8a8a", "#1f5fa8"
_GROUPS_MAX: Final = 60
_RATES: Final = {
    SELECTION: "offers (share)",
    FALSE_POSITIVE: "false positive rate",
    FALSE_NEGATIVE: "false negative rate",
}


def _figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 4.8), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.25)
    return figure, axes


def _thinned(*arrays: np.ndarray) -> list[np.ndarray]:
    """Reduce a curve to at most 2,000 points: more cannot be seen and take seconds to draw."""
    rows = np.unique(np.linspace(0, len(arrays[0]) - 1, _POINTS_MAX).astype(int))
    return [array[rows] for array in arrays]


def roc(churned: Labels, scores: Scores, auc: Metric) -> Figure:
    figure, axes = _figure("ROC curve, holdout", "stayers wrongly flagged (share)", "churners found (share)")
    false, true = _thinned(*roc_curve(churned, scores)[:2])
    axes.plot(false, true, color=_CHURN, label=f"model, AUC {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})")
    axes.plot([0, 1], [0, 1], "--", color=_GREY, label="by chance, AUC 0.5")
    axes.legend(loc="lower right")
    return figure


def precision_recall(churned: Labels, scores: Scores, average: Metric) -> Figure:
    figure, axes = _figure(
        "Precision and recall, holdout", "recall: churners found (share)", "precision: flagged who churn (share)"
    )
    precision, recall = _thinned(*precision_recall_curve(churned, scores)[:2])
    axes.plot(recall, precision, color=_CHURN, label=f"model, average precision {average.value:.3f}")
    axes.axhline(churned.mean(), linestyle="--", color=_GREY, label=f"by chance, {churned.mean():.3f}")
    axes.set_ylim(0, 1.02)
    axes.legend(loc="upper right")
    return figure


def calibration(churned: Labels, scores: Scores, error: Metric) -> Figure:
    figure, axes = _figure(
        f"Calibration, holdout: {BINS} equal groups by score",
        "mean score (probability)",
        "customers who churned (share)",
    )
    order = np.argsort(scores, kind="stable")
    groups = np.array_split(order, BINS)
    mean = np.array([scores[g].mean() for g in groups])
    rate = np.array([churned[g].mean() for g in groups])
    spread = 1.96 * np.sqrt(rate * (1 - rate) / [len(g) for g in groups])
    axes.plot([0, 1], [0, 1], "--", color=_GREY, label="perfect")
    label = f"model, calibration error {error.value:.3f}; bars: 95 % of chance"
    axes.errorbar(mean, rate, yerr=spread, fmt="o-", color=_CHURN, capsize=3, label=label)
    top = min(1.0, float(max(mean.max(), (rate + spread).max())) + 0.05)
    axes.set(xlim=(0, top), ylim=(0, top))
    axes.legend(loc="upper left")
    return figure


def gain(churned: Labels, scores: Scores) -> Figure:
    figure, axes = _figure(
        "Gain and lift, holdout", "customers contacted, highest scores first (share)", "churners reached (share)"
    )
    gain = np.append(0, np.cumsum(churned[np.argsort(-scores, kind="stable")])) / churned.sum()
    share, gain = _thinned(np.linspace(0, 1, len(gain)), gain)
    axes.plot(share, gain, color=_CHURN, label="gain: churners reached")
    axes.plot([0, 1], [0, 1], "--", color=_GREY, label="by chance")
    lift = axes.twinx()
    shown = share >= _LIFT_FROM  # below, the ratio of two small numbers only shows noise
    lift.plot(share[shown], gain[shown] / share[shown], ":", color=_LIFT, label="lift (right axis)")
    lift.set_ylabel("lift (multiple of the overall churn rate)")
    lift.set_ylim(bottom=0)
    lines = [*axes.get_lines(), *lift.get_lines()]
    axes.legend(lines, [str(line.get_label()) for line in lines], loc="lower right")
    return figure


def confusion(churned: Labels, scores: Scores, threshold: float) -> Figure:
    figure, axes = _figure(f"Decisions at the threshold {threshold:.3f}, holdout", "decision", "what happened")
    counts = confusion_matrix(churned, scores >= threshold)
    axes.grid(visible=False)
    axes.imshow(counts, cmap="Reds", vmin=0, vmax=counts.max() * 2)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(column, row, f"{count:,} customers\n{count / len(churned):.1%}", ha="center", va="center")
    axes.set_xticks([0, 1], ["stay", "churn (offer)"])
    axes.set_yticks([0, 1], ["stayed", "churned"])
    return figure


def value_by_threshold(churned: Labels, scores: Scores, cost: CostModel) -> Figure:
    figure, axes = _figure(
        "Value of offers by threshold, holdout", "threshold (probability)", "net value (currency per 1,000 customers)"
    )
    thresholds = np.linspace(0.01, 0.95, 95)
    axes.plot(thresholds, [offer_value(churned, scores, float(t), cost) for t in thresholds], color=_CHURN)
    axes.axvline(cost.threshold, linestyle="--", color=_GREY, label=f"chosen by the cost model: {cost.threshold:.3f}")
    axes.axhline(0, color=_GREY, linewidth=0.8)
    axes.legend(loc="lower center")
    return figure


def importance(importances: pd.DataFrame) -> Figure:
    figure, axes = _figure("Permutation importance, holdout sample", "loss of AUC when the feature is shuffled", "")
    shown = importances.iloc[::-1]
    axes.barh(list(shown.index), shown["mean"], xerr=shown["deviation"], color=_CHURN, capsize=2)
    axes.tick_params(axis="y", labelsize=8)
    return figure


def fairness(groups: Sequence[Group]) -> Figure:
    """The rates of the groups with their intervals, features in turn in two colours; at most the 60 largest groups."""
    shown = sorted(groups, key=lambda group: -group.rows)[:_GROUPS_MAX]
    shown = [group for group in groups if group in shown][::-1]
    figure = Figure(figsize=(10, 1.6 + 0.24 * len(shown)), dpi=_DPI, layout="constrained")
    features = list(dict.fromkeys(group.feature for group in groups))
    for axes, (name, words) in zip(figure.subplots(1, len(_RATES), sharey=True), _RATES.items(), strict=True):
        for place, group in enumerate(shown):
            rate = group.rates.get(name)
            if rate is None:
                continue
            low, high = rate.interval()
            colour = (_CHURN, _LIFT)[features.index(group.feature) % 2]
            ends = [[rate.value - low], [high - rate.value]]
            axes.errorbar([rate.value], [place], xerr=ends, fmt="o", color=colour, capsize=2, markersize=4)
        axes.set(xlim=(-0.02, 1.02), xlabel=words)
        axes.grid(alpha=0.25)
        axes.set_yticks(range(len(shown)), [f"{g.feature} = {g.value}" for g in shown], fontsize=7)
    figure.suptitle("Rates of the groups at the threshold, holdout; bars: 95 % intervals")
    return figure


def save(folder: Path, figures: dict[str, Figure]) -> None:
    """Write each figure as ``<name>.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png")
