"""Telco customers whose codes and scores were recorded by the revision before contracts, 7f11465, with its own code.

``tests/fixtures/telco-format-1`` has a bundle of that revision, the sha256 of the coded customers, and their scores.
"""

from __future__ import annotations

import random
from typing import Any, Final

from support.paths import ROOT

FOLDER: Final = ROOT / "tests" / "fixtures" / "telco-format-1"
CODED_SHA256: Final = "0b70bd72701716a12c3c0dca74085ad1101a18cb20f869dd83497b3e6a11c85d"
ROWS: Final = 10_000
_YES: Final = ("No", "Yes")
_SERVICE: Final = (*_YES, "No internet service")
_TEXTS: Final = {
    "gender": ("Female", "Male"),
    "partner": _YES,
    "dependents": _YES,
    "phone_service": _YES,
    "multiple_lines": (*_YES, "No phone service"),
    "internet_service": ("DSL", "Fiber optic", "No"),
    **dict.fromkeys(
        ("online_security", "online_backup", "device_protection", "tech_support", "streaming_tv", "streaming_movies"),
        _SERVICE,
    ),
    "contract": ("Month-to-month", "One year", "Two year"),
    "paperless_billing": _YES,
    "payment_method": ("Electronic check", "Mailed check", "Bank transfer (automatic)", "Credit card (automatic)"),
}


def customers() -> list[dict[str, Any]]:
    """The customers; ``random`` promises the same numbers of ``random()`` in every version of Python."""
    draw = random.Random(11).random  # noqa: S311 - no secret
    return [_customer(number, draw) for number in range(ROWS)]


def _customer(number: int, draw: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"customer_id": f"C{number:05d}"}
    row |= {name: texts[int(draw() * len(texts))] for name, texts in _TEXTS.items()}
    row["senior_citizen"] = int(draw() < 0.16)
    row["tenure_months"] = int(draw() * 73)
    row["monthly_charges"] = int(1800 + draw() * 10_000) / 100
    row["total_charges"] = None if draw() < 0.1 else int(draw() * 800_000) / 100
    return row
