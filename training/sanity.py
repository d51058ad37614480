"""Warnings about data that is valid but looks odd. Nothing is refused: only the owner of the data can judge it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd

from app.contract import Contract
from app.feature import Feature, Formula
from training.filling import assumed

_SHARE: Final = 0.05
"""Share of the rows from which an oddity is reported."""
_TENURE: Final = "tenure_months"
_TENURE_MIN: Final = 3
"""Months after which one unusual month can no longer take a total far from tenure times bill."""
_SERVICE: Final = "_service"
_FAR: Final = 2.0
_THOUSAND: Final = 1000.0


def warnings(contract: Contract, customers: pd.DataFrame) -> list[str]:
    """Describe everything odd about customers whose blanks are filled, in sentences with counts."""
    return [*_contradictions(contract, customers), *_formulas(contract, customers), *_constant(customers)]


def _contradictions(contract: Contract, customers: pd.DataFrame) -> list[str]:
    """Compare add-ons whose category says that their service is missing with the column of that service."""
    sentences = []
    names = [f.name for f in contract.features if f.name.endswith(_SERVICE) and "No" in f.categories]
    services = {f"No {name.removesuffix(_SERVICE)} service": name for name in names}
    for feature in contract.features:
        for word in services.keys() & set(feature.categories):
            service = services[word]
            without = (customers[feature.name] == word).to_numpy()
            says_no = (customers[service] == "No").to_numpy()
            wrong = int((without != says_no).sum())
            if wrong:
                sentences.append(
                    f"{feature.name} contradicts {service} in {wrong:,} of {len(customers):,} rows: {word!r} and "
                    f"{service} = 'No' should go together"
                )
    return sentences


def _formulas(contract: Contract, customers: pd.DataFrame) -> Iterator[str]:
    """Compare each feature that a formula fills in with the formula."""
    for feature in contract.features:
        if isinstance(feature.blank, Formula):
            yield from _far_from(feature, feature.blank, customers)


def _far_from(feature: Feature, formula: Formula, customers: pd.DataFrame) -> Iterator[str]:
    name = feature.name
    columns = {other: customers[other].to_numpy(dtype=np.float64) for other in formula.parsed.names}
    expected = np.asarray(assumed(feature, columns, {}))
    settled = expected > 0
    if _TENURE in columns:
        settled &= columns[_TENURE] >= _TENURE_MIN
    if not settled.any():
        return
    ratio = customers[name].to_numpy(dtype=np.float64)[settled] / expected[settled]
    far = (ratio > _FAR) | (ratio < 1 / _FAR)
    if far.mean() > _SHARE:
        yield (
            f"{name} is far from {formula.expression} in {int(far.sum()):,} of {int(settled.sum()):,} rows "
            f"(typically {np.median(ratio[far]):.3g} times it){_thousands(ratio[far])}"
        )
    if len(ratio) > 1 and (ratio == 1).all():
        yield f"every {name} equals {formula.expression}: it was blank or computed, and adds nothing"


def _thousands(ratio: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    """Explain how a thousands separator read as a decimal point divides exactly these values by 1,000."""
    like = (ratio * _THOUSAND < _FAR) & (ratio * _THOUSAND > 1 / _FAR)
    if like.mean() <= 0.5:  # noqa: PLR2004  # not most of them
        return ""
    return ": 1.854 may stand for 1,854, with a thousands separator read as a decimal point"


def _constant(customers: pd.DataFrame) -> list[str]:
    return [
        f"{name} is {customers[name].iloc[0]} in every row: the model cannot learn from it"
        for name in customers.columns
        if len(customers) > 1 and (customers[name] == customers[name].iloc[0]).all()
    ]
