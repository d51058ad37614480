"""The results of a run for its readers: metrics for MLflow, plots, and the model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pandas as pd

from app.bundle import GateResult
from app.contract import Contract, Scores
from app.feature import Constant, Formula
from training import card_origin, fairness_report, plots
from training.config import CostModel, RunConfig
from training.data import Dataset
from training.evaluate import METRICS, Metric, Slice, offer_value
from training.export import Facts
from training.fairness import Group
from training.gates import verdict
from training.markdown import table
from training.mlflow_dataset import file_name
from training.pipeline import CrossValidation, Labels
from training.time_split import Cut
from training.violations import listed

PLOTS: Final = "plots"
"""Folder of the plots, beside the model card and among the run's artifacts."""
CARD: Final = "model_card.md"
"""File of the model card."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A model's figures on its holdout; ``validations`` are the cross-validations of the candidates, best first.

    A model that was trained elsewhere has none.
    """

    churned: Labels
    scores: Scores
    metrics: dict[str, Metric]
    slices: list[Slice]
    groups: tuple[Group, ...]
    importances: pd.DataFrame
    validations: tuple[CrossValidation, ...]
    cut: Cut | None = None
    """Where the holdout begins, if the split is by time."""
    warnings: tuple[str, ...] = ()
    """What looks odd in the data, in sentences; see :mod:`training.sanity`."""

    def point_metrics(self) -> dict[str, float]:
        return {name: metric.value for name, metric in self.metrics.items()}

    def flat_metrics(self) -> dict[str, float]:
        """All figures by name, with the ends of their intervals (``<name>_low``, ``<name>_high``), and the CV's AUC."""
        flat: dict[str, float] = {}
        for name, metric in self.metrics.items():
            flat |= {name: metric.value, f"{name}_low": metric.low, f"{name}_high": metric.high}
        if not self.validations:
            return flat
        best = self.validations[0]
        return flat | {"cv_auc": best.mean, "cv_auc_deviation": best.deviation}

    def grouped_metrics(self) -> dict[str, float]:
        """All figures, by names that MLflow's pages show in groups: the part before a slash is the group.

        The headline figures have no group and come first; ``uncertainty/`` has the ends of their intervals.
        """
        flat = self.flat_metrics()
        headline = {name: flat.pop(name) for name in (*self.metrics, "cv_auc") if name in flat}
        return headline | {f"uncertainty/{name}": value for name, value in flat.items()} | self.slice_metrics()

    def slice_metrics(self) -> dict[str, float]:
        """By ``slice_<figure>/<feature>.<value>``."""
        flat: dict[str, float] = {}
        for part in self.slices:
            name = fairness_report.metric_name(part.feature, part.value)
            flat |= {
                f"slice_rows/{name}": float(part.rows),
                f"slice_churn_rate/{name}": part.churn_rate,
                f"slice_mean_score/{name}": part.mean_score,
                f"slice_calibration_error/{name}": part.calibration_error,
            }
            if part.auc is not None:
                flat[f"slice_auc/{name}"] = part.auc
        return flat | fairness_report.metrics(self.groups)


def draw(folder: Path, evaluation: Evaluation, cost: CostModel) -> None:
    """Write the plots of the holdout into ``folder``."""
    y, p, metrics = evaluation.churned, evaluation.scores, evaluation.metrics
    plots.save(
        folder,
        {
            "roc": plots.roc(y, p, metrics["auc"]),
            "precision_recall": plots.precision_recall(y, p, metrics["average_precision"]),
            "calibration": plots.calibration(y, p, metrics["calibration_error"]),
            "gain_lift": plots.gain(y, p),
            "confusion": plots.confusion(y, p, cost.threshold),
            "offer_value": plots.value_by_threshold(y, p, cost),
            "permutation_importance": plots.importance(evaluation.importances),
        }
        | ({"fairness": plots.fairness(evaluation.groups)} if evaluation.groups else {}),
    )


def _metric_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    return [
        (METRICS[name], f"{metric.value:.4f}", f"{metric.low:.4f} to {metric.high:.4f}")
        for name, metric in evaluation.metrics.items()
    ]


def _slice_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    return [
        (
            f"{s.feature} = {s.value}",
            f"{s.rows:,}",
            f"{s.churn_rate:.3f}",
            f"{s.mean_score:.3f}",
            "-" if s.auc is None else f"{s.auc:.3f}",
            f"{s.calibration_error:.3f}",
        )
        for s in evaluation.slices
    ]


def _cost_text(evaluation: Evaluation, cost: CostModel) -> str:
    def value(threshold: float) -> str:
        return f"{offer_value(evaluation.churned, evaluation.scores, threshold, cost):,.0f}"

    return (
        f"An offer costs {cost.offer_cost:g}, keeps {cost.retained_share:.0%} of those about to leave, and a customer "
        f"kept is worth {cost.customer_value:g}. So it pays from a probability of "
        f"{cost.offer_cost:g} / ({cost.retained_share:g} * {cost.customer_value:g}) = **{cost.threshold:.4f}**. "
        f"On the holdout this is worth {value(cost.threshold)} per 1,000 customers; the threshold 0.5 {value(0.5)}, "
        f"an offer to everyone {value(0.0)}."
    )


def _warnings(warnings: Sequence[str]) -> str:
    """A section about what looks odd in the data; empty if nothing does."""
    if not warnings:
        return ""
    return "## Warnings\n\n" + "".join(f"- {warning}\n" for warning in warnings) + "\n"


def _headline(data: Dataset, facts: Facts, evaluation: Evaluation, results: list[GateResult]) -> str:
    """Sum up the model in a few words, without Markdown: MLflow's table of versions shows the beginning."""
    auc = evaluation.metrics["auc"]
    return (
        f"AUC {auc.value:.4f}, gates {verdict(results)}. 95 % interval of the AUC {auc.low:.4f} to {auc.high:.4f}; "
        f"{facts.model_type} {_verb(facts)} {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {file_name(data.source)}, "
        f"{len(data.customers):,} rows."
    )


def _verb(facts: Facts) -> str:
    return "model, trained elsewhere, judged" if facts.model_type == "foreign" else "trained"


def _legal(contract: Contract) -> str:
    names = listed([f"`{name}`" for name in contract.slices] or ["All features"])
    return f"{names} are inputs. Check that using what is about a person is legal where you operate."


def _blanks(facts: Facts) -> str:
    """What blanks count as, in sentences that end with a space; empty if no feature may be blank."""
    sentences = []
    for feature in facts.contract.features:
        match feature.blank:
            case Formula(expression=expression):
                sentences.append(f"Blank `{feature.name}` counts as `{expression}`. ")
            case Constant(constant=constant):
                sentences.append(f"Blank `{feature.name}` counts as `{constant}`. ")
            case "median":
                value = facts.medians[feature.name]
                sentences.append(f"Blank `{feature.name}` counts as the median of the training rows, {value:g}. ")
    return "".join(sentences)


def _plots_text(folder: Path) -> str:
    """A section with the plots in the folder, one below the other; empty if there are none."""
    images = [f"![{path.stem.replace('_', ' ')}]({PLOTS}/{path.name})" for path in sorted(folder.glob("*.png"))]
    return "\n\n".join(["## Plots", *images, ""]) if images else ""


def write_card(
    path: Path,
    config: RunConfig,
    data: Dataset,
    *,
    facts: Facts,
    evaluation: Evaluation,
    results: list[GateResult],
) -> None:
    """Write the model card (Mitchell et al., 2019) in Markdown, with the plots of the folder ``plots`` beside it."""
    ceiling = f"AUC {data.truth.ceiling.auc:.4f} (generated data)" if data.truth else "not known (real data)"
    gate_rows = [(r.name, "passed" if r.passed else "**refused**", r.detail) for r in results]
    slice_head = ("group", "rows", "churn rate", "mean score", "AUC", "calibration error")
    path.write_text(
        f"""# Model card: {config.model_name}, {facts.model_type.replace("_", " ")}

{_headline(data, facts, evaluation, results)}

Gives the probability that a customer churns, for deciding who gets a retention offer. Not for prices, credit or
any decision about a person's rights. Scores hold for customers like those below; watch the drift alerts.

## Data

{len(data.customers):,} customers; sha256 `{data.sha256}`; contract `{data.contract.name}`.
{card_origin.origin(config, evaluation.churned, evaluation.cut)} Best score any model can reach: {ceiling}.
Code revision: {facts.git_revision or "unknown"}.
{card_origin.classifier(config, evaluation.validations)}
{_warnings(evaluation.warnings)}## Figures on the holdout

{table(("metric", "value", "95 % interval (bootstrap)"), _metric_rows(evaluation))}

{card_origin.validation(evaluation.validations, evaluation.cut)}

## Groups

{table(slice_head, _slice_rows(evaluation))}

{_legal(data.contract)}

{fairness_report.section(data.contract, evaluation.groups, config.gates)}## Threshold

{_cost_text(evaluation, config.cost)}

## Gates

{table(("gate", "verdict", "figures"), gate_rows)}

{_plots_text(path.parent / PLOTS)}## Limits

A score does not explain causes: it says who leaves, not who stays because of an offer.
{_blanks(facts)}Scores are calibrated on the training period; if churn changes, they no longer hold.
""",
        encoding="utf-8",
    )
