"""The split by time: the most recent days are held out, and every fold tests on later days than it trains on.

A day is never on both sides. A customer may be: the earlier rows train, the later ones test, as in use, where a model
scores customers whom it was trained on months ago. Taking those customers out of the training part would leave mostly
those who left early in it, since all others have later rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from training.config import TrainConfig
from training.data import DataError, Dataset, Violation
from training.days import Days
from training.pipeline import Folds, Indices, Labels, Split, customer_ranks

DAYS_MIN: Final = 4
"""Fewest distinct days: one to hold out, and three for two folds that each test on a later day."""
_TRAIN_DAYS_MIN: Final = 3
_FOLDS_MIN: Final = 2
_SHARES: Final = (0.05, 0.5)
"""Smallest and largest share of the rows that a cut at a day may hold out."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Where the holdout begins, and how many of its customers also have earlier rows, in the training part."""

    day: date
    customers: int
    returning: int


def split(config: TrainConfig, data: Dataset, churned: Labels, groups: pd.Series[str]) -> Split:
    """Hold out the rows of the most recent days, as near to ``config.test_share`` of all as a cut at a day can be.

    The rows of each part are in an order unrelated to the file's, as in :func:`training.pipeline.split`.

    Raises:
        DataError: too few days, a day with most of the rows, or one class alone on a side.
    """
    days = _days(data)
    distinct, counts = np.unique(days, return_counts=True)
    if len(distinct) < DAYS_MIN:
        shown = ", ".join(map(str, distinct))
        raise _refused(data, f"{len(distinct)} distinct days ({shown})", f"at least {DAYS_MIN}")
    shares = 1 - (np.cumsum(counts) - counts) / len(days)
    distance = np.abs(shares - config.test_share)
    distance[:_TRAIN_DAYS_MIN] = np.inf
    possible = np.where((shares >= _SHARES[0]) & (shares <= _SHARES[1]), distance, np.inf)
    if np.isinf(possible).all():
        at = distance.argmin()
        value = f"the nearest cut, at {distinct[at]}, holds out {shares[at]:.1%} of the rows"
        raise _refused(data, value, f"{_SHARES[0]:.0%} to {_SHARES[1]:.0%}, so that a day has few of the rows")
    at = possible.argmin()
    order = np.argsort(customer_ranks(groups, churned, config.seed), kind="stable")
    tested = days[order] >= distinct[at]
    parts = Split(train=order[~tested], test=order[tested])
    for rows, when in ((parts.train, "before"), (parts.test, "from")):
        if len(np.unique(churned[rows])) == 1:
            value = f"every row {when} {distinct[at]} has the label {churned[rows[0]]}"
            raise _refused(data, value, "customers who churned and who stayed on both sides of the cut")
    return parts


def cut(data: Dataset, groups: pd.Series[str], parts: Split) -> Cut:
    """Describe where a split by time is."""
    tested = groups.iloc[parts.test].unique()
    returning = np.isin(tested, groups.iloc[parts.train].unique())
    first = _days(data)[parts.test].min()
    return Cut(day=first.astype(object), customers=len(tested), returning=int(returning.sum()))


def strangers(groups: pd.Series[str], parts: Split) -> Split:
    """The same split without the training rows of customers who are held out."""
    mine = groups.iloc[parts.train].isin(groups.iloc[parts.test]).to_numpy()
    return Split(train=parts.train[~mine], test=parts.test)


def forward_folds(config: TrainConfig, data: Dataset, churned: Labels, groups: pd.Series[str], train: Indices) -> Folds:
    """Positions in ``train`` to fit on and to score: each fold trains on all earlier days (a growing window).

    The days are cut into ``config.cv_folds`` + 1 blocks of about as many rows, or fewer if there are not as many days.
    Folds without both classes on either side are left out.

    Raises:
        DataError: fewer than two folds are left.
    """
    days, labels = _days(data)[train], churned[train]
    ranks = customer_ranks(groups.iloc[train], labels, (config.seed + 1) % 2**32)
    rows = np.flatnonzero(ranks < min(1.0, config.cv_rows_max / len(train)))
    block = _blocks(days[rows], config.cv_folds + 1)
    folds = [(rows[block < k], rows[block == k]) for k in range(1, block.max() + 1)]
    folds = [fold for fold in folds if all(len(np.unique(labels[side])) > 1 for side in fold)]
    if len(folds) < _FOLDS_MIN:
        value = f"{len(folds)} of the folds in time have customers of both classes on both sides"
        raise _refused(data, value, f"at least {_FOLDS_MIN}, so that each day has customers who churned and who stayed")
    return folds


def calibration_folds(config: TrainConfig, data: Dataset, churned: Labels, train: Indices) -> Folds:
    """Positions in ``train`` for the calibration: blocks of days, each scored by a model of all others.

    Not forward in time: the calibration needs a score of each row by a model that was not fitted on it, and no model
    can be fitted before the first days.

    Raises:
        DataError: all days but those of one block have one class.
    """
    block = _blocks(_days(data)[train], config.calibration_folds)
    folds = [(np.flatnonzero(block != k), np.flatnonzero(block == k)) for k in range(block.max() + 1)]
    for fit, score in folds:
        if len(np.unique(churned[train][fit])) == 1:
            apart = _days(data)[train][score]
            value = f"all training rows but those from {apart.min()} to {apart.max()} have one label"
            raise _refused(data, value, "customers who churned and who stayed at other times too")
    return folds


def _blocks(days: Days, count: int) -> Indices:
    """Number the rows by block: at most ``count`` blocks of whole days in their order, of about as many rows each."""
    _, inverse, counts = np.unique(days, return_inverse=True, return_counts=True)
    middle = (np.cumsum(counts) - counts / 2) / len(days)
    of_day = np.unique((middle * count).astype(int), return_inverse=True)[1]
    return np.asarray(of_day[inverse], dtype=np.int64)


def _days(data: Dataset) -> Days:
    if data.days is None:
        raise ValueError("loaded without days")
    return data.days


def _refused(data: Dataset, value: str, expected: str) -> DataError:
    column = data.contract.as_of or ""
    hint = "a file of more days, or --split random, is needed"
    return DataError(
        data.source, [Violation(column=column, rows=(), count=0, value=value, expected=expected, hint=hint)]
    )
