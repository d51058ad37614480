"""Applies the gates to one fitted model, in the order in which their verdicts are reported."""

from __future__ import annotations

from app.bundle import GateResult
from app.contract import Scores
from training import duplicates, evaluate, fairness, fairness_gate, foreign_golden, gates, leaks, pipeline, time_split
from training.auc import auc
from training.config import GateLimits, RunConfig
from training.data import Dataset
from training.fitting import Fitted
from training.pipeline import Split


def judge(config: RunConfig, data: Dataset, fitted: Fitted, exported: Scores) -> list[GateResult]:
    """Give the verdicts that need no other version; :mod:`training.regression` has the one that does.

    Args:
        config: limits, and the seed of what is drawn.
        exported: scores of every row by the graph that would be served.
    """
    train, test = fitted.split.train, fitted.split.test
    parts = _parts(fitted, config.seed)
    churned, scores, clusters = fitted.churned[test], fitted.scores[test], fitted.clusters
    limits = config.gates
    churners = int(churned.sum())
    return [
        _parity(data, fitted, exported, limits),
        gates.skill(
            churned,
            scores,
            clusters,
            fitted.validations[0] if fitted.validations else None,
            train=fitted.churned[train],
            limits=limits,
        ),
        duplicates.gate(
            fitted.content, fitted.churned, _compared(data, fitted), with_ids=data.ids is not None, limits=limits
        ),
        leaks.gate(
            auc(churned, scores, clusters),
            leaks.single_features(data.contract, fitted.features, fitted.churned, parts, fitted.clusters_of(parts)),
            churners=churners,
            stayers=len(churned) - churners,
            ceiling_auc=data.truth.ceiling.auc if data.truth else None,
            limits=limits,
        ),
        gates.calibration(
            evaluate.calibration_error(churned, scores),
            evaluate.calibration_by_chance(scores, config.seed, clusters),
            len(scores),
            limits,
        ),
        *fairness_gate.gate(
            data.contract,
            fairness.evaluate_groups(
                data.contract, fitted.customers.iloc[test], churned, scores, config.cost.threshold, clusters
            ),
            limits,
        ),
    ]


def _compared(data: Dataset, fitted: Fitted) -> Split:
    """The rows that are searched for copies: an earlier row of the same customer, as a split by time has, is none."""
    by_time = fitted.cut is not None and data.ids is not None
    return time_split.strangers(fitted.groups, fitted.split) if by_time else fitted.split


def _parity(data: Dataset, fitted: Fitted, exported: Scores, limits: GateLimits) -> GateResult:
    """The verdict on every row, or on the rows that came with a graph, which has no native twin."""
    if fitted.elsewhere is None or fitted.elsewhere.golden is None:
        return gates.parity(fitted.scores, exported, limits)
    return foreign_golden.parity(fitted.elsewhere.graph, fitted.elsewhere.golden, data.contract, fitted.medians, limits)


def _parts(fitted: Fitted, seed: int) -> Split:
    """The split by which single features are judged: halves of the holdout if the training part is not known."""
    if len(fitted.split.train):
        return fitted.split
    return pipeline.split(fitted.groups, fitted.churned, test_share=0.5, seed=seed)
