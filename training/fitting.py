"""Choose, fit and score a model: from checked customers to a fitted pipeline with its split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from sklearn.pipeline import Pipeline

from app.schemas import Features, Scores
from training import duplicates, pipeline
from training.auc import Clusters
from training.config import MODEL_TYPES, ModelType, TrainConfig
from training.data import DataError, Dataset, Violation, encode_frame
from training.duplicates import Content
from training.pipeline import CrossValidation, Labels, Split

CUSTOMERS_MIN = 50
"""Fewest customers of each class: with fewer, a fold or the holdout may have none, and every figure is noise."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A fitted model with its native scores of every row of the file.

    ``groups`` keeps rows on one side of the split (:func:`training.duplicates.groups`), ``validations`` the
    cross-validations of the candidates, the best first.
    """

    model: Pipeline
    model_type: ModelType
    scores: Scores
    features: Features
    churned: Labels
    split: Split
    content: Content
    groups: pd.Series[str]
    validations: tuple[CrossValidation, ...]

    @property
    def clusters(self) -> Clusters:
        """Which held-out rows belong to one customer; see :func:`training.auc.auc`."""
        return pd.factorize(self.groups.iloc[self.split.test])[0].astype("int64")


def validate(data: Dataset) -> Labels:
    """Check that a file is large enough to train on, and return its labels; every row is already checked.

    Raises:
        DataError: fewer than 50 customers of one class.
    """
    if data.churned is None:
        raise ValueError("loaded without labels")
    churners = int(data.churned.sum())
    if min(churners, len(data.churned) - churners) < CUSTOMERS_MIN:
        shortage = Violation(
            column="churned",
            rows=(),
            count=0,
            value=f"{churners} churners among {len(data.churned)} rows",
            expected=f"at least {CUSTOMERS_MIN} customers who churned and {CUSTOMERS_MIN} who stayed",
        )
        raise DataError(data.source, [shortage])
    return data.churned


def choose(
    config: TrainConfig, customers: pd.DataFrame, churned: Labels, groups: pd.Series[str]
) -> tuple[CrossValidation, ...]:
    """Cross-validate the candidates, or only the one that ``config.model`` names, and sort them, the best first."""
    parts = list(pipeline.folds(groups, churned, count=config.cv_folds, rows_max=config.cv_rows_max, seed=config.seed))
    candidates = MODEL_TYPES if config.model == "auto" else (config.model,)
    results = [pipeline.cross_validate(name, customers, churned, parts, seed=config.seed) for name in candidates]
    return tuple(sorted(results, key=lambda result: result.mean, reverse=True))


def fit(config: TrainConfig, data: Dataset, churned: Labels, enter: Callable[[str, str], None]) -> Fitted:
    """Split, choose, fit and score; ``enter`` is called with the name of each stage and a line about it."""
    enter("split", f"{config.test_share:.0%} of the customers held out, seed {config.seed}")
    features = encode_frame(data.customers)
    content = duplicates.content(features)
    groups = duplicates.groups(data.ids, content)
    parts = pipeline.split(groups, churned, test_share=config.test_share, seed=config.seed)
    train_customers, train_labels = data.customers.iloc[parts.train], churned[parts.train]
    enter("choose", f"{config.cv_folds}-fold cross-validation, model {config.model}")
    validations = choose(config, train_customers, train_labels, groups.iloc[parts.train])
    best = validations[0]
    enter("fit", f"{best.model_type} on {len(parts.train):,} rows (cross-validated AUC {best.mean:.4f}), calibrated")
    model = pipeline.fit(
        best.model_type,
        train_customers,
        train_labels,
        seed=config.seed,
        calibration_folds=config.calibration_folds,
    )
    enter("score", f"all {len(churned):,} rows by the native model")
    return Fitted(
        model=model,
        model_type=best.model_type,
        scores=pipeline.predict(model, data.customers),
        features=features,
        churned=churned,
        split=parts,
        content=content,
        groups=groups,
        validations=validations,
    )
