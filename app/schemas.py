"""The one home of the customer: every feature's name, type, unit, bounds and categories.

The 19 features are those of the public IBM Telco churn data in snake_case, with IBM's own category spellings. Training
imports this module; no feature is defined anywhere else. The HTTP schema, the file checks, the order of a model's
inputs and the drift bins are all derived from :class:`Customer`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args, get_origin

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

SCHEMA_VERSION: Final = 1
"""Raised when a feature's name, order, categories or coding changes: a model made for another version is refused."""

ID_COLUMN: Final = "customer_id"
LABEL_COLUMN: Final = "churned"

YesNo = Literal["No", "Yes"]
PhoneAddOn = Literal["No", "Yes", "No phone service"]
InternetAddOn = Literal["No", "Yes", "No internet service"]

CustomerId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="The caller's own key for the customer; returned with the prediction, never used by the model.",
    ),
]

EXAMPLE: Final[Mapping[str, str | int | float]] = {
    "customer_id": "7590-VHVEG",
    "gender": "Female",
    "senior_citizen": 0,
    "partner": "Yes",
    "dependents": "No",
    "tenure_months": 5,
    "phone_service": "Yes",
    "multiple_lines": "No",
    "internet_service": "Fiber optic",
    "online_security": "No",
    "online_backup": "Yes",
    "device_protection": "No",
    "tech_support": "No",
    "streaming_tv": "Yes",
    "streaming_movies": "No",
    "contract": "Month-to-month",
    "paperless_billing": "Yes",
    "payment_method": "Electronic check",
    "monthly_charges": 84.85,
    "total_charges": 421.2,
}


def _ibm(name: str, *, unit: str | None = None) -> dict[str, Any]:
    """Further facts about a feature: its column name in IBM's file, and its unit."""
    return {"ibm_name": name} | ({"unit": unit} if unit else {})


class Customer(BaseModel):
    """One customer of a telecommunications company, as known on the day of the prediction."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, json_schema_extra={"examples": [dict(EXAMPLE)]}
    )

    customer_id: CustomerId | None = None
    gender: Annotated[Literal["Female", "Male"], Field(json_schema_extra=_ibm("gender"))]
    senior_citizen: Annotated[
        int, Field(ge=0, le=1, description="1 if the customer is 65 or older.", json_schema_extra=_ibm("SeniorCitizen"))
    ]
    partner: Annotated[YesNo, Field(json_schema_extra=_ibm("Partner"))]
    dependents: Annotated[YesNo, Field(json_schema_extra=_ibm("Dependents"))]
    tenure_months: Annotated[
        int,
        Field(
            ge=0, le=1200, description="Whole months as a customer.", json_schema_extra=_ibm("tenure", unit="months")
        ),
    ]
    phone_service: Annotated[YesNo, Field(json_schema_extra=_ibm("PhoneService"))]
    multiple_lines: Annotated[PhoneAddOn, Field(json_schema_extra=_ibm("MultipleLines"))]
    internet_service: Annotated[Literal["No", "DSL", "Fiber optic"], Field(json_schema_extra=_ibm("InternetService"))]
    online_security: Annotated[InternetAddOn, Field(json_schema_extra=_ibm("OnlineSecurity"))]
    online_backup: Annotated[InternetAddOn, Field(json_schema_extra=_ibm("OnlineBackup"))]
    device_protection: Annotated[InternetAddOn, Field(json_schema_extra=_ibm("DeviceProtection"))]
    tech_support: Annotated[InternetAddOn, Field(json_schema_extra=_ibm("TechSupport"))]
    streaming_tv: Annotated[InternetAddOn, Field(json_schema_extra=_ibm("StreamingTV"))]
    streaming_movies: Annotated[InternetAddOn, Field(json_schema_extra=_ibm("StreamingMovies"))]
    contract: Annotated[Literal["Month-to-month", "One year", "Two year"], Field(json_schema_extra=_ibm("Contract"))]
    paperless_billing: Annotated[YesNo, Field(json_schema_extra=_ibm("PaperlessBilling"))]
    payment_method: Annotated[
        Literal["Electronic check", "Mailed check", "Bank transfer (automatic)", "Credit card (automatic)"],
        Field(json_schema_extra=_ibm("PaymentMethod")),
    ]
    monthly_charges: Annotated[
        float,
        Field(
            ge=0,
            le=10_000,
            description="The current monthly bill.",
            json_schema_extra=_ibm("MonthlyCharges", unit="currency/month"),
        ),
    ]
    total_charges: Annotated[
        float | None,
        Field(
            ge=0,
            le=1_000_000,
            description="All charges to date. Null for a new customer: tenure_months * monthly_charges is used.",
            json_schema_extra=_ibm("TotalCharges", unit="currency"),
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One model input.

    ``categories`` is empty for a number; a category is coded as its index in it. ``minimum`` and
    ``maximum`` are inclusive and ``None`` for a category. Only a ``nullable`` feature may be blank.
    """

    name: str
    ibm_name: str
    description: str
    categories: tuple[str, ...] = ()
    integer: bool = False
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    unit: str | None = None

    @property
    def is_category(self) -> bool:
        return bool(self.categories)

    @property
    def expected(self) -> str:
        """What a value must be, in words for an error message."""
        if self.categories:
            return "one of " + ", ".join(repr(c) for c in self.categories)
        kind = "a whole number" if self.integer else "a number"
        blank = ", or blank" if self.nullable else ""
        return f"{kind} from {self.minimum:.0f} to {self.maximum:.0f}{blank}"


def _feature(name: str, field: FieldInfo) -> Feature:
    extra = field.json_schema_extra
    if not isinstance(extra, dict):
        raise TypeError(f"{name}: a feature names its IBM column in json_schema_extra")
    unit = extra.get("unit")
    common: dict[str, Any] = {
        "name": name,
        "ibm_name": str(extra["ibm_name"]),
        "description": field.description or name.replace("_", " "),
        "unit": str(unit) if unit else None,
    }
    if get_origin(field.annotation) is Literal:
        return Feature(**common, categories=get_args(field.annotation))
    options = set(get_args(field.annotation)) or {field.annotation}
    # In some pydantic releases a bound on an optional field is inside the union, so the field's own metadata is read.
    bounds = {type(m): m for m in field.metadata}
    return Feature(
        **common,
        integer=int in options,
        nullable=type(None) in options,
        minimum=float(bounds[Ge].ge),
        maximum=float(bounds[Le].le),
    )


FEATURES: Final[tuple[Feature, ...]] = tuple(
    _feature(name, field) for name, field in Customer.model_fields.items() if name != ID_COLUMN
)
FEATURE_NAMES: Final[tuple[str, ...]] = tuple(f.name for f in FEATURES)
IBM_COLUMNS: Final[Mapping[str, str]] = {f.ibm_name: f.name for f in FEATURES} | {
    "customerID": ID_COLUMN,
    "Churn": LABEL_COLUMN,
}
"""IBM's own column names, so that the original file can be read unchanged."""

CODES: Final[Mapping[str, Mapping[str, float]]] = {
    f.name: {category: float(code) for code, category in enumerate(f.categories)} for f in FEATURES if f.categories
}

Features: TypeAlias = npt.NDArray[np.float32]
"""Coded customers, shape (rows, 19), columns in the order of FEATURES: the only input of an exported model."""
Scores: TypeAlias = npt.NDArray[np.float64]
"""Probabilities of churn, shape (rows,)."""


def blank_total(tenure_months: float, monthly_charges: float) -> float:
    """The total charges assumed for a customer whose total is blank (in IBM's data: those of their first month)."""
    return tenure_months * monthly_charges


def _total(row: Mapping[str, Any]) -> float:
    total: float | None = row.get("total_charges")
    return blank_total(row["tenure_months"], row["monthly_charges"]) if total is None else total


def encode(rows: Sequence[Mapping[str, Any]]) -> Features:
    """Code validated customers for a model.

    Args:
        rows: customers as mappings by feature name, already checked against :class:`Customer`.

    Returns:
        float32 array of shape (len(rows), 19).

    Raises:
        KeyError: a feature is missing or a category unknown, so the row was never validated.
    """
    columns: list[list[float]] = []
    for feature in FEATURES:
        name = feature.name
        if feature.categories:
            codes = CODES[name]
            columns.append([codes[row[name]] for row in rows])
        elif feature.nullable:
            columns.append([_total(row) for row in rows])
        else:
            columns.append([row[name] for row in rows])
    return np.ascontiguousarray(np.array(columns, dtype=np.float32).T)
