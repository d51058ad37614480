"""What the blanks of a file count as, for whole columns: as :class:`app.coding.Coder` fills them, to the bit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from app.coding import LARGEST
from app.contract import Contract
from app.feature import Constant, Feature, Formula

Column = npt.NDArray[np.float64]


class AllBlankError(ValueError):
    """A feature whose blanks count as a median is blank in every training row."""

    def __init__(self, column: str) -> None:
        super().__init__(f"{column} is blank in every training row, so there is no median to fill in")
        self.column = column


def numbers_of(contract: Contract, frame: pd.DataFrame) -> dict[str, Column]:
    """The columns of the features that are no categories, by feature."""
    return {f.name: frame[f.name].to_numpy(dtype=np.float64) for f in contract.features if not f.is_category}


def assumed(feature: Feature, columns: Mapping[str, Column], medians: Mapping[str, float]) -> float | Column:
    """The value that a blank counts as: one for all rows, or one for each row.

    Args:
        feature: one that may be blank.
        columns: the numbers that its formula reads, by feature.
        medians: of the training rows; without the feature's, a blank stays NaN until it is known.
    """
    blank = feature.blank
    if isinstance(blank, Formula):
        result = blank.parsed.column(columns)
        # Written so that NaN is replaced too.
        return np.where(np.abs(result) <= LARGEST, result, feature.lowest)
    if isinstance(blank, Constant):
        return feature.code(blank.constant)
    return medians.get(feature.name, np.nan)


def medians_of(contract: Contract, customers: pd.DataFrame) -> dict[str, float]:
    """The median of each feature whose blanks count as one, over rows in which blanks are NaN.

    Raises:
        AllBlankError: every row of such a feature is blank.
    """
    medians = {}
    for feature in contract.features:
        if feature.blank == "median":
            present = customers[feature.name].dropna().to_numpy(dtype=np.float64)
            if not len(present):
                raise AllBlankError(feature.name)
            medians[feature.name] = float(np.median(present))
    return medians
