"""Choose, fit and score a model: from checked customers to a fitted pipeline with its split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.pipeline import Pipeline

from app.contract import Features, Scores
from training import duplicates, pipeline, time_split
from training.auc import Clusters
from training.choosing import TrainingPart, choose
from training.config import TrainConfig, VersionType
from training.data import DataError, Dataset, Violation, encode_frame, filled_medians
from training.duplicates import Content
from training.elsewhere import Elsewhere
from training.filling import AllBlankError, medians_of
from training.pipeline import CrossValidation, Folds, Indices, Labels, Split
from training.search import Trial
from training.time_split import Cut

CUSTOMERS_MIN = 50
"""Fewest customers of each class: with fewer, a fold or the holdout may have none, and every figure is noise."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A fitted model with its native scores of every row of the file.

    ``customers`` are those of the file with every blank filled, ``medians`` what filled those that count as a median of
    the training rows. ``groups`` keeps rows on one side of the split (:func:`training.duplicates.groups`),
    ``validations`` the cross-validations of the candidates, the best first; ``trials`` are those of a search. A model
    that was trained elsewhere has ``elsewhere`` and no validations, and no training part unless its rows are known.
    """

    model: Pipeline | ClassifierMixin
    model_type: VersionType
    customers: pd.DataFrame
    medians: dict[str, float]
    scores: Scores
    features: Features
    churned: Labels
    split: Split
    content: Content
    groups: pd.Series[str]
    validations: tuple[CrossValidation, ...]
    trials: tuple[Trial, ...] = ()
    cut: Cut | None = None
    """Where the holdout begins, if the split is by time."""
    elsewhere: Elsewhere | None = None

    @property
    def clusters(self) -> Clusters:
        """Which held-out rows belong to one customer; see :func:`training.auc.auc`."""
        return self.clusters_of(self.split)

    def clusters_of(self, split: Split) -> Clusters:
        """The same for the held-out rows of another split of these customers."""
        return pd.factorize(self.groups.iloc[split.test])[0].astype("int64")


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
            column=data.contract.label.name,
            rows=(),
            count=0,
            value=f"{churners} churners among {len(data.churned)} rows",
            expected=f"at least {CUSTOMERS_MIN} customers who churned and {CUSTOMERS_MIN} who stayed",
        )
        raise DataError(data.source, [shortage])
    return data.churned


def fit(config: TrainConfig, data: Dataset, churned: Labels, enter: Callable[[str, str], None]) -> Fitted:
    """Split, choose, fit and score; ``enter`` is called with the name of each stage and a line about it."""
    by_time = config.split == "time"
    what = "rows held out, the most recent days" if by_time else "customers held out"
    enter("split", f"{config.test_share:.0%} of the {what}, seed {config.seed}")
    contract = data.contract
    # Blanks that count as a median are NaN here: only the split says which rows it is taken from.
    content = duplicates.content(encode_frame(contract, data.customers, {}))
    groups = duplicates.groups(data.ids, content)
    parts = (
        time_split.split(config, data, churned, groups)
        if by_time
        else pipeline.split(groups, churned, test_share=config.test_share, seed=config.seed)
    )
    medians = _medians(data, parts)
    customers = filled_medians(data.customers, medians)
    folds, calibration = _folds(config, data, churned, groups, parts.train)
    part = TrainingPart(
        contract=contract, customers=customers.iloc[parts.train], churned=churned[parts.train], folds=folds
    )
    choice = choose(config, part, enter)
    best = choice.validations[0]
    enter("fit", f"{best.model_type} on {len(parts.train):,} rows (cross-validated AUC {best.mean:.4f}), calibrated")
    model = pipeline.fit(
        choice.estimator,
        contract,
        part.customers,
        part.churned,
        seed=config.seed,
        calibration_folds=calibration,
    )
    enter("score", f"all {len(churned):,} rows by the native model")
    return Fitted(
        model=model,
        model_type=best.model_type,
        customers=customers,
        medians=medians,
        scores=pipeline.predict(model, customers),
        features=encode_frame(contract, customers, medians),
        churned=churned,
        split=parts,
        content=content,
        groups=groups,
        validations=choice.validations,
        trials=choice.trials,
        cut=time_split.cut(data, groups, parts) if by_time else None,
    )


def _folds(
    config: TrainConfig, data: Dataset, churned: Labels, groups: pd.Series[str], train: Indices
) -> tuple[Folds, int | Folds]:
    """The folds of the cross-validation and those of the calibration, over the training rows."""
    if config.split == "time":
        folds = time_split.forward_folds(config, data, churned, groups, train)
        return folds, time_split.calibration_folds(config, data, churned, train)
    count, rows_max = config.cv_folds, config.cv_rows_max
    random = pipeline.folds(groups.iloc[train], churned[train], count=count, rows_max=rows_max, seed=config.seed)
    return list(random), config.calibration_folds


def _medians(data: Dataset, parts: Split) -> dict[str, float]:
    """The medians of the training rows.

    Raises:
        DataError: a feature whose blanks count as its median is blank in all of them.
    """
    try:
        return medians_of(data.contract, data.customers.iloc[parts.train])
    except AllBlankError as error:
        expected = "values in some training rows"
        blank = Violation(column=error.column, rows=(), count=0, value=str(error), expected=expected)
        raise DataError(data.source, [blank]) from error
