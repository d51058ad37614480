"""Warnings about data that is valid but looks odd. Nothing is refused: only the owner of the data can judge it."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from app.schemas import FEATURES, blank_total

_SHARE: Final = 0.05
"""Share of the rows from which an oddity is reported."""
_TENURE_MIN: Final = 3
"""Months after which one unusual month can no longer take a total far from tenure times bill."""
_SERVICE: Final = "_service"
_FAR: Final = 2.0
_THOUSAND: Final = 1000.0


def warnings(customers: pd.DataFrame) -> list[str]:
    """Describe everything odd about :attr:`training.data.Dataset.customers`, in sentences with counts."""
    return [*_contradictions(customers), *_totals(customers), *_constant(customers)]


def _contradictions(customers: pd.DataFrame) -> list[str]:
    """Compare add-ons whose category says that their service is missing with the column of that service."""
    sentences = []
    names = [f.name for f in FEATURES if f.name.endswith(_SERVICE)]
    services = {f"No {name.removesuffix(_SERVICE)} service": name for name in names}
    for feature in FEATURES:
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


def _totals(customers: pd.DataFrame) -> list[str]:
    tenure, monthly, total = (
        customers[name].to_numpy(dtype=np.float64) for name in ("tenure_months", "monthly_charges", "total_charges")
    )
    settled = (tenure >= _TENURE_MIN) & (monthly > 0)
    if not settled.any():
        return []
    expected = np.asarray(blank_total(tenure[settled], monthly[settled]))  # type: ignore[arg-type]  # elementwise
    ratio = total[settled] / expected
    sentences = []
    far = (ratio > _FAR) | (ratio < 1 / _FAR)
    if far.mean() > _SHARE:
        sentences.append(
            f"total_charges is far from tenure_months * monthly_charges in {int(far.sum()):,} of "
            f"{int(settled.sum()):,} rows (typically {np.median(ratio[far]):.3g} times it){_thousands(ratio[far])}"
        )
    if len(ratio) > 1 and (ratio == 1).all():
        sentences.append(
            "every total_charges equals tenure_months * monthly_charges: it was blank or computed, and adds nothing"
        )
    return sentences


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
