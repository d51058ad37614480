"""Strict reading of request bodies: JSON bytes in, validated rows and coded features out.

pydantic parses and validates the raw bytes in one pass, into dictionaries derived from :class:`app.schemas.Customer` (a
third cheaper than model instances, with the same rules). Its parser accepts a key that occurs twice. That is detected
by counting quotes: no allowed value holds one, so a body has exactly two for each key and each text value.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import (
    Annotated,
    Any,
    Final,
    NotRequired,  # pydantic refuses typing's own before Python 3.12
)
from urllib.parse import parse_qsl

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails, from_json
from typing_extensions import TypedDict

from app.errors import INVALID_INPUT, INVALID_JSON, ApiError, invalid_input
from app.schemas import CODES, FEATURES, ID_COLUMN, Customer, blank_total

Row = Mapping[str, Any]
"""One validated customer by feature name, with ``customer_id`` if the caller sent one."""

_STRICT: Final = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_TEXT_FEATURES: Final = sum(f.is_category for f in FEATURES)
_TABLES: Final = tuple((f.name, CODES.get(f.name)) for f in FEATURES)
_TOTAL: Final = next(i for i, f in enumerate(FEATURES) if f.nullable)
_FLOAT32: Final = struct.Struct(f"{len(FEATURES)}f")
_MAX_QUOTES: Final = 2 * (len(Customer.model_fields) + _TEXT_FEATURES + 1)
"""Quotes of one customer: a pair for each key and each text."""
_SINGLE_ALLOWANCE: Final = 100
"""A single body may hold as many quotes as this many customers, so that its unknown fields can be listed."""


def _row_type() -> Any:
    """A TypedDict with the fields, types and bounds of Customer."""
    fields: dict[str, Any] = {}
    for name, field in Customer.model_fields.items():
        kind = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        fields[name] = kind if field.is_required() else NotRequired[kind]
    # A type checker cannot follow the functional form with computed fields.
    return with_config(_STRICT)(TypedDict("CustomerRow", fields))  # type: ignore[operator]


_ROW_TYPE: Final[Any] = _row_type()


def _count_quotes(body: bytes, max_rows: int) -> int:
    quotes = body.count(b'"')
    # Each misfit takes pydantic microseconds: hundreds of thousands of unknown fields would stall all other requests.
    if quotes > 2 + max_rows * _MAX_QUOTES:
        detail = f"the body holds more keys and texts than {max_rows} customers: too many customers, or unknown fields"
        raise ApiError(INVALID_INPUT, detail, errors=[])
    return quotes


def _expect_single_keys(quotes: int, keys: int, texts: int) -> None:
    if quotes != 2 * (keys + texts):
        raise ApiError(INVALID_JSON, "a key occurs twice in one object")


def _texts(row: Row) -> int:
    return _TEXT_FEATURES + (row.get(ID_COLUMN) is not None)


def _refusal(body: bytes, error: ValidationError) -> ApiError:
    details: list[ErrorDetails] = error.errors(include_url=False, include_context=False)
    if details[0]["type"] == "json_invalid":
        return ApiError(INVALID_JSON, details[0]["msg"])
    try:
        from_json(body, allow_inf_nan=False)
    except ValueError as reason:  # NaN and Infinity: pydantic's validator would blame the field's value
        return ApiError(INVALID_JSON, f"Invalid JSON: {reason}")
    return invalid_input(details)


class Parser:
    """Reads the bodies of the prediction routes; ``max_rows`` bounds a batch."""

    def __init__(self, max_rows: int) -> None:
        batch: Any = with_config(_STRICT)(
            TypedDict(  # type: ignore[operator]  # as above
                "Batch", {"customers": Annotated[list[_ROW_TYPE], Field(min_length=1, max_length=max_rows)]}
            )
        )
        self._max_rows = max_rows
        self._one = TypeAdapter[dict[str, Any]](_ROW_TYPE)
        self._many = TypeAdapter[dict[str, list[dict[str, Any]]]](batch)

    def one(self, body: bytes) -> Row:
        """One customer.

        Raises:
            ApiError: not strict JSON, or it does not fit; every misfit is listed.
        """
        quotes = _count_quotes(body, _SINGLE_ALLOWANCE)
        try:
            row = self._one.validate_json(body)
        except ValidationError as error:
            raise _refusal(body, error) from None
        _expect_single_keys(quotes, len(row), _texts(row))
        return row

    def many(self, body: bytes) -> list[Row]:
        """The customers of ``{"customers": [...]}``, at most ``max_rows``.

        Raises:
            ApiError: as for :meth:`one`.
        """
        quotes = _count_quotes(body, max(self._max_rows, _SINGLE_ALLOWANCE))
        try:
            rows: list[Row] = list(self._many.validate_json(body)["customers"])
        except ValidationError as error:
            raise _refusal(body, error) from None
        _expect_single_keys(quotes, 1 + sum(map(len, rows)), sum(map(_texts, rows)))
        return rows


def encode_one(row: Row) -> tuple[float, ...]:
    """Code one customer, exactly as :func:`app.schemas.encode` does, float32 rounding included."""
    coded: list[Any] = [row.get(name) if codes is None else codes[row[name]] for name, codes in _TABLES]
    if coded[_TOTAL] is None:
        coded[_TOTAL] = blank_total(row["tenure_months"], row["monthly_charges"])
    return _FLOAT32.unpack(_FLOAT32.pack(*coded))


def wants_explanation(query: bytes) -> bool:
    """Whether the query string asks for ``explain=true``.

    Raises:
        ApiError: the value is neither true nor false.
    """
    if not query:
        return False
    value = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)).get("explain", "false")
    if value not in {"true", "false"}:
        error = {"location": ["query", "explain"], "message": "Input should be true or false", "value": value[:64]}
        raise ApiError(INVALID_INPUT, "1 value does not fit the schema", errors=[error])
    return value == "true"
