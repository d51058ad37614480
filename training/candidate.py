"""What travels between the stages of a training run: the run itself, and the version that it proposes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient

from app.bundle import GateResult
from app.contract import Features, Scores
from training.config import RunConfig
from training.data import Dataset
from training.export import Facts
from training.fitting import Fitted
from training.pipeline import Labels
from training.report import Evaluation


@dataclass(frozen=True, kw_only=True)
class Run:
    """A training run once its model is fitted: configuration, registry, data and model."""

    config: RunConfig
    client: MlflowClient
    data: Dataset
    fitted: Fitted

    @property
    def holdout(self) -> pd.DataFrame:
        """The held-out customers, every blank filled."""
        return self.fitted.customers.iloc[self.fitted.split.test]

    @property
    def holdout_features(self) -> Features:
        return self.fitted.features[self.fitted.split.test]

    @property
    def holdout_labels(self) -> Labels:
        return self.fitted.churned[self.fitted.split.test]

    @property
    def holdout_scores(self) -> Scores:
        """Scores of the held-out customers by the native model."""
        return self.fitted.scores[self.fitted.split.test]


@dataclass(frozen=True, kw_only=True)
class CandidateVersion:
    """A version before it is registered: its files in ``folder``, its figures, and the verdicts of its gates."""

    folder: Path
    """Holds ``plots/``, ``model_card.md``, ``serving/`` and ``evaluation/``."""
    facts: Facts
    evaluation: Evaluation
    results: list[GateResult]
    manifest_sha256: str


@dataclass(frozen=True, kw_only=True)
class LoggedModel:
    """A model that MLflow keeps: its id there, and the sha256 of its native file; None for a graph without one."""

    model_id: str
    native_sha256: str | None
