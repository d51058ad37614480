"""Applies the gates to one fitted model, in the order in which their verdicts are reported."""

from __future__ import annotations

from app.bundle import GateResult
from app.contract import Scores
from training import duplicates, evaluate, fairness, fairness_gate, gates, leaks, time_split
from training.auc import auc
from training.config import TrainConfig
from training.data import Dataset
from training.fitting import Fitted
from training.pipeline import Split


def judge(config: TrainConfig, data: Dataset, fitted: Fitted, exported: Scores) -> list[GateResult]:
    """Give the verdicts that need no other version; :mod:`training.regression` has the one that does.

    Args:
        exported: scores of every row by the graph that would be served.
    """
    train, test = fitted.split.train, fitted.split.test
    churned, scores, clusters = fitted.churned[test], fitted.scores[test], fitted.clusters
    limits = config.gates
    churners = int(churned.sum())
    return [
        gates.parity(fitted.scores, exported, limits),
        gates.skill(churned, scores, clusters, fitted.validations[0], train=fitted.churned[train], limits=limits),
        duplicates.gate(
            fitted.content, fitted.churned, _compared(data, fitted), with_ids=data.ids is not None, limits=limits
        ),
        leaks.gate(
            auc(churned, scores, clusters),
            leaks.single_features(data.contract, fitted.features, fitted.churned, fitted.split, clusters),
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
