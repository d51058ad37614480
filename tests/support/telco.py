"""The built-in contract in parts, by the names that tests use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.coding import Coder
from app.customers import customer_model
from app.feature import Feature
from app.schemas import telco

ID_COLUMN: Final = telco().key.name
LABEL_COLUMN: Final = telco().label.name
EXAMPLE: Final[Mapping[str, Any]] = telco().customer
Customer: Final[Any] = customer_model(telco())
FEATURES: Final[tuple[Feature, ...]] = telco().features
FEATURE_NAMES: Final[tuple[str, ...]] = telco().names
IBM_COLUMNS: Final[Mapping[str, str]] = {
    alias: name for name, aliases in telco().aliases.items() for alias in aliases
} | {"gender": "gender"}
"""IBM's own column names, with the names that the contract has for them."""
CODES: Final[Mapping[str, Mapping[str, float]]] = {f.name: f.codes for f in FEATURES if f.is_category}

encode = Coder(telco(), {}).many


def blank_total(tenure_months: float, monthly_charges: float) -> float:
    """The total charges assumed for a customer whose total is blank, as the contract's formula has them."""
    return tenure_months * monthly_charges
