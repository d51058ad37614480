"""The types that a contract means in JSON: for the parser of requests, and as a pydantic model for the OpenAPI page.

A whole number may be written as ``5`` or ``5.0``, and a key as a text or as a whole number, which counts as its digits:
so files and requests accept the same customers.
"""

from __future__ import annotations

from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NotRequired,  # pydantic refuses typing's own before Python 3.12
)

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    create_model,
    with_config,
)
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypedDict

from app.contract import Contract, Key
from app.feature import MAX_EXACT, Feature

STRICT: Final = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _OneError:
    """Lets a value of several types, or of several rules, fail with one message instead of one for each."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.custom_error_schema(
            handler(source), custom_error_type="key", custom_error_message=self.message
        )


def key_words(key: Key) -> str:
    """What a key must be, in words for an error message."""
    letters = "letters and digits" if key.letters == "unicode" else "ASCII letters and digits"
    symbols = f" and {' '.join(key.symbols)}" if key.symbols else ""
    return f"a text of 1 to {key.max_length} {letters}{symbols}, or a whole number"


class Digits(str):
    """A key that came as a whole number: its digits, which had no quotes in the JSON."""

    __slots__ = ()


def key_type(key: Key) -> Any:
    """The type of the key in JSON; a whole number becomes :class:`Digits`."""
    text = Annotated[str, Field(pattern=key.pattern)]
    number: Any = Annotated[_whole(0, min(10**key.max_length - 1, MAX_EXACT)), AfterValidator(Digits)]
    # In turn: to look for the best of them would take a tenth of the time of a whole customer.
    return Annotated[
        text | number,
        Field(union_mode="left_to_right"),
        _OneError(f"Input should be {key_words(key)}"),
        Field(description=key.description),
    ]


def value_type(feature: Feature) -> Any:
    """The type of a feature's value in JSON, without what is optional."""
    if feature.is_category:
        return Literal[feature.categories]
    if feature.type == "boolean":
        return bool
    if feature.type == "integer":
        return _whole(int(feature.lowest), int(feature.highest))
    return Annotated[float, Field(ge=feature.lowest, le=feature.highest)]


def _whole(minimum: int, maximum: int) -> Any:
    """A whole number in JSON, which may be written as 5, 5.0 or 5e0."""
    return Annotated[int, _Whole(minimum, maximum)]


class _Whole:
    """Takes a float without a fraction too, and says "whole number" where pydantic would name both types."""

    def __init__(self, minimum: int, maximum: int) -> None:
        self._bounds = (minimum, maximum)

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        minimum, maximum = self._bounds
        whole = core_schema.int_schema(strict=True, ge=minimum, le=maximum)
        # Pydantic's own multiple_of=1 has a tolerance: it takes 5.000000001 as 5. Its floats also take integers, and
        # round those from 2^53 on: 2^53 + 1 must not pass as 2^53.
        exact = MAX_EXACT - 1
        fraction = core_schema.float_schema(
            strict=True, ge=max(minimum, -exact), le=min(maximum, exact), allow_inf_nan=False
        )
        return core_schema.union_schema(
            [whole, core_schema.no_info_after_validator_function(_without_fraction, fraction)],
            mode="left_to_right",
            custom_error_type="whole_number",
            custom_error_message=f"Input should be a whole number from {minimum} to {maximum}",
        )

    def __get_pydantic_json_schema__(self, _: CoreSchema, __: GetJsonSchemaHandler) -> dict[str, Any]:
        minimum, maximum = self._bounds
        return {"type": "integer", "minimum": minimum, "maximum": maximum}


def _without_fraction(value: float) -> int:
    if not value.is_integer():
        raise ValueError("has a fraction")
    return int(value)


def row_type(contract: Contract) -> Any:
    """The type of one customer as a dictionary, which is validated a third faster than an instance of a model."""
    fields: dict[str, Any] = {contract.key.name: NotRequired[key_type(contract.key) | None]}
    for feature in contract.features:
        kind = value_type(feature)
        fields[feature.name] = NotRequired[kind | None] if feature.nullable else kind
    # A type checker cannot follow the functional form with computed fields.
    return with_config(STRICT)(TypedDict("CustomerRow", fields))  # type: ignore[operator]


def customer_model(contract: Contract, name: str = "Customer") -> type[BaseModel]:
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
    config = ConfigDict(**STRICT, frozen=True, json_schema_extra={"examples": [contract.customer]})
    return create_model(name, __config__=config, __doc__=contract.description, **fields)
