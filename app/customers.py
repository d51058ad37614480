"""The pydantic model of a contract's customer, for the OpenAPI page, and the example that goes with it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from app.contract import Contract, Key
from app.feature import Feature


def key_type(key: Key) -> Any:
    """The type of the key in JSON: a text of its characters, or a whole number, which counts as its digits."""
    text = Annotated[str, Field(pattern=key.pattern)]
    return Annotated[text, Field(description=key.description)]


def value_type(feature: Feature) -> Any:
    """The type of a feature's value in JSON, without what is optional."""
    if feature.is_category:
        return Literal[feature.categories]
    if feature.type == "boolean":
        return bool
    kind = int if feature.type == "integer" else float
    return Annotated[kind, Field(ge=kind(feature.lowest), le=kind(feature.highest))]


def customer_model(contract: Contract) -> type[BaseModel]:
    """Build the model of one customer.

    Its fields are the key, which is optional, and the features in their order; one that may be blank is optional.
    """
    fields: dict[str, Any] = {contract.key.name: (key_type(contract.key) | None, None)}
    for feature in contract.features:
        extra: dict[str, Any] = {"unit": feature.unit} if feature.unit else {}
        info = Field(description=feature.description or None, json_schema_extra=extra or None)
        kind = value_type(feature)
        fields[feature.name] = (
            (Annotated[kind | None, info], None) if feature.nullable else (Annotated[kind, info], ...)
        )
    config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        json_schema_extra={"examples": [contract.customer]},
    )
    return create_model("Customer", __config__=config, __doc__=contract.description, **fields)
