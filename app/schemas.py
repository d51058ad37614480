"""The contract of the public IBM Telco customers, which a bundle of format 1 was made for, and its parts by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

from app.coding import Coder
from app.contract import Contract, Features, Scores
from app.customers import customer_model, key_type
from app.feature import Feature

__all__ = ["Feature", "Features", "Scores"]

SCHEMA_VERSION: Final = 1
"""What a bundle of format 1 says of its customers: that they are these."""


@cache
def telco() -> Contract:
    """The contract, parsed once."""
    return Contract.model_validate_json(resources.files("app").joinpath("telco.json").read_bytes())


ID_COLUMN: Final = telco().key.name
LABEL_COLUMN: Final = telco().label.name
EXAMPLE: Final[Mapping[str, Any]] = telco().customer
CustomerId: Final[Any] = key_type(telco().key)
Customer: Final[Any] = customer_model(telco())
FEATURES: Final[tuple[Feature, ...]] = telco().features
FEATURE_NAMES: Final[tuple[str, ...]] = telco().names
IBM_COLUMNS: Final[Mapping[str, str]] = {
    alias: name for name, aliases in telco().aliases.items() for alias in aliases
} | {"gender": "gender"}
"""IBM's own column names, so that the original file can be read unchanged."""
CODES: Final[Mapping[str, Mapping[str, float]]] = {f.name: f.codes for f in FEATURES if f.is_category}

encode = Coder(telco(), {}).many


def blank_total(tenure_months: float, monthly_charges: float) -> float:
    """The total charges assumed for a customer whose total is blank (in IBM's data: those of their first month)."""
    return tenure_months * monthly_charges
