"""Strict reading of request bodies: JSON bytes in, validated rows out.

pydantic parses and validates the raw bytes in one pass, into dictionaries (:func:`app.customers.row_type`). Its parser
accepts a key that occurs twice. That is detected by counting quotes: no allowed value holds one, so a body has exactly
two for each key and each text value.
"""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

from pydantic import Field, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails, from_json
from typing_extensions import TypedDict

from app.coding import Row
from app.contract import Contract
from app.customers import STRICT, row_type
from app.errors import INVALID_INPUT, INVALID_JSON, ApiError, invalid_input

_SINGLE_ALLOWANCE: Final = 100
"""A single body may hold as many quotes as this many customers, so that its unknown fields can be listed."""


def _expect_single_keys(quotes: int, keys: int, texts: int) -> None:
    if quotes != 2 * (keys + texts):
        raise ApiError(INVALID_JSON, "a key occurs twice in one object")


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
    """Reads the bodies of the prediction routes for one contract; ``max_rows`` bounds a batch."""

    def __init__(self, contract: Contract, max_rows: int) -> None:
        row: Any = row_type(contract)
        batch: Any = with_config(STRICT)(
            TypedDict(  # type: ignore[operator]  # a type checker cannot follow the functional form with a computed field
                "Batch", {"customers": Annotated[list[row], Field(min_length=1, max_length=max_rows)]}
            )
        )
        self._max_rows = max_rows
        self._one = TypeAdapter[dict[str, Any]](row)
        self._many = TypeAdapter[dict[str, list[dict[str, Any]]]](batch)
        self._key = contract.key.name
        categories = [f for f in contract.features if f.is_category]
        self._texts_always = sum(not f.nullable for f in categories)
        self._optional_texts = (self._key, *(f.name for f in categories if f.nullable))
        self._max_quotes = 2 * (len(contract.features) + len(categories) + 2)
        """Quotes of one customer: a pair for each key and each text."""

    def one(self, body: bytes) -> Row:
        """One customer.

        Raises:
            ApiError: not strict JSON, or it does not fit; every misfit is listed.
        """
        quotes = self._count_quotes(body, _SINGLE_ALLOWANCE)
        try:
            row = self._one.validate_json(body)
        except ValidationError as error:
            raise _refusal(body, error) from None
        texts = self._texts_always
        for name in self._optional_texts:
            if type(row.get(name)) is str:
                texts += 1
        _expect_single_keys(quotes, len(row), texts)
        return row

    def many(self, body: bytes) -> list[Row]:
        """The customers of ``{"customers": [...]}``, at most ``max_rows``.

        Raises:
            ApiError: as for :meth:`one`.
        """
        quotes = self._count_quotes(body, max(self._max_rows, _SINGLE_ALLOWANCE))
        try:
            rows: list[Row] = list(self._many.validate_json(body)["customers"])
        except ValidationError as error:
            raise _refusal(body, error) from None
        optional = [type(row.get(name)) for name in self._optional_texts for row in rows].count(str)
        _expect_single_keys(quotes, 1 + sum(map(len, rows)), len(rows) * self._texts_always + optional)
        return rows

    def _count_quotes(self, body: bytes, max_rows: int) -> int:
        quotes = body.count(b'"')
        # Each misfit takes pydantic microseconds: hundreds of thousands of unknown fields would stall other requests.
        if quotes > 2 + max_rows * self._max_quotes:
            detail = (
                f"the body holds more keys and texts than {max_rows} customers: too many customers, or unknown fields"
            )
            raise ApiError(INVALID_INPUT, detail, errors=[])
        return quotes


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
