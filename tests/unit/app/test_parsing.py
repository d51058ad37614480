from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.api import batch_body, body
from support.bundles import random_customers
from support.telco import EXAMPLE, FEATURE_NAMES, FEATURES, Customer

from app.coding import Row
from app.errors import INVALID_INPUT, INVALID_JSON, ApiError, Problem
from app.parsing import Parser, wants_explanation
from app.schemas import telco

_MAX_ROWS = 5
_PARSER = Parser(telco(), _MAX_ROWS)


def _raw(name: str, json_text: bytes) -> bytes:
    """The example with this exact text as one value."""
    return body(**{name: "@"}).replace(b'"@"', json_text)


def _refused(content: bytes, problem: Problem, *, batch: bool = False) -> ApiError:
    with pytest.raises(ApiError) as caught:
        _PARSER.many(content) if batch else _PARSER.one(content)
    assert caught.value.problem is problem, caught.value.detail
    return caught.value


def test_the_example_passes_alone_and_in_a_batch() -> None:
    assert _PARSER.one(body()) == dict(EXAMPLE)
    assert _PARSER.many(batch_body([dict(EXAMPLE)] * _MAX_ROWS)) == [dict(EXAMPLE)] * _MAX_ROWS


@pytest.mark.parametrize("spelling", [b'"gender"', b'"\\u0067ender"', b'"gend\\u0065r"'])
@pytest.mark.parametrize("value", [b'"Male"', b'"Female"', b"null", b"[]", b'{"gender": "Male"}'])
def test_a_key_that_occurs_twice_is_refused(spelling: bytes, value: bytes) -> None:
    twice = b"{" + spelling + b": " + value + b", " + body()[1:]
    assert "twice" in _refused(twice, INVALID_JSON).detail
    assert "twice" in _refused(b'{"customers": [' + twice + b"]}", INVALID_JSON, batch=True).detail


@pytest.mark.parametrize("first", [b'"a"', b"null"])
@pytest.mark.parametrize("second", [b'"b"', b"null"])
def test_a_customer_id_that_occurs_twice_is_refused(first: bytes, second: bytes) -> None:
    rest = body()[len(b'{"customer_id": "7590-VHVEG", ') :]
    twice = b'{"customer_id": ' + first + b', "customer_id": ' + second + b", " + rest
    assert "twice" in _refused(twice, INVALID_JSON).detail


@pytest.mark.parametrize("outer", [b'"customers"', b'"custome\\u0072s"'])
def test_a_batch_wrapper_that_names_its_customers_twice_is_refused(outer: bytes) -> None:
    one = b"[" + body() + b"]"
    twice = b"{" + outer + b": " + one + b', "customers": ' + one + b"}"
    assert "twice" in _refused(twice, INVALID_JSON, batch=True).detail


def test_escaped_spellings_are_accepted_if_they_occur_once() -> None:
    escaped = body().replace(b'"gender": "Female"', b'"\\u0067ender": "\\u0046emale"')
    assert _PARSER.one(escaped) == dict(EXAMPLE)


@pytest.mark.parametrize("number", [b"5.0", b"5e0", b"50E-1"])
def test_a_whole_number_may_be_written_with_a_fraction_of_zero(number: bytes) -> None:
    assert _PARSER.one(_raw("tenure_months", number)) == dict(EXAMPLE)


@pytest.mark.parametrize(
    ("customer_id", "expected"),
    [(None, None), ("x", "x"), (0, "0"), (7590, "7590"), (7590.0, "7590"), (2**53, str(2**53))],
)
def test_the_customer_id_may_be_null_or_a_whole_number(customer_id: str | float | None, expected: str | None) -> None:
    assert _PARSER.one(body(customer_id=customer_id))["customer_id"] == expected
    (row,) = _PARSER.many(b'{"customers": [' + body(customer_id=customer_id) + b"]}")
    assert row["customer_id"] == expected


@pytest.mark.parametrize("name", ["gender", "tenure_months", "monthly_charges", "total_charges", "customer_id", "new"])
@pytest.mark.parametrize("text", [b"NaN", b"Infinity", b"-Infinity"])
def test_nan_and_infinity_are_not_json(name: str, text: bytes) -> None:
    _refused(_raw(name, text), INVALID_JSON)
    _refused(b'{"customers": [' + _raw(name, text) + b"]}", INVALID_JSON, batch=True)


@pytest.mark.parametrize("name", ["tenure_months", "monthly_charges", "total_charges"])
@pytest.mark.parametrize("text", [b"1e999", b"-1e999", b"1e400", b"9" * 400, b"-" + b"9" * 4299])
def test_numbers_beyond_every_type_are_refused(name: str, text: bytes) -> None:
    error = _refused(_raw(name, text), INVALID_INPUT)
    assert error.errors is not None
    assert error.errors[0]["location"] == [name]
    assert len(error.errors[0]["value"]) <= 64


def test_an_integer_of_five_thousand_digits_is_refused_without_working_on_it() -> None:
    _refused(_raw("tenure_months", b"9" * 5000), INVALID_JSON)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("senior_citizen", b"true"),
        ("tenure_months", b"false"),
        ("tenure_months", b"5.5"),
        ("tenure_months", b"5.000000001"),
        ("tenure_months", b"2.6e-42"),
        ("tenure_months", b"5e-1"),
        ("tenure_months", b'"5"'),
        ("tenure_months", b"null"),
        ("monthly_charges", b"true"),
        ("monthly_charges", b'"84.85"'),
        ("monthly_charges", b"null"),
        ("total_charges", b'""'),
        ("total_charges", b"false"),
        ("gender", b"0"),
        ("gender", b'"female"'),
        ("gender", b'" Female"'),
        ("customer_id", b"7.5"),
        ("customer_id", b"9007199254740993"),
        ("customer_id", b"9007199254740993.0"),
        ("customer_id", b"2.6e-42"),
        ("customer_id", b"1000000000.5"),
        ("customer_id", b"-7"),
        ("customer_id", b"true"),
        ("customer_id", b'""'),
        ("customer_id", b'"a b"'),
        ("customer_id", b'"a\\n"'),
        ("customer_id", b'"' + b"x" * 65 + b'"'),
        ("churned", b"1"),
    ],
)
def test_a_wrong_type_value_or_name_is_reported(name: str, text: bytes) -> None:
    error = _refused(_raw(name, text), INVALID_INPUT)
    assert error.errors is not None
    assert [e["location"] for e in error.errors] == [[name]]
    batch = _refused(b'{"customers": [' + body() + b", " + _raw(name, text) + b"]}", INVALID_INPUT, batch=True)
    assert batch.errors is not None
    assert [e["location"] for e in batch.errors] == [["customers", 1, name]]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"{",
        body() + b"x",
        body() + body(),
        b"\xef\xbb\xbf" + body(),
        body().decode().encode("utf-16"),
        _raw("customer_id", b'"\\ud800"'),
        _raw("customer_id", b'"\xff"'),
        b'{"\\udc00": 1}',
        body()[:-1] + b",}",
        body().replace(b'"', b"'"),
        body() + b"// comment",
        _raw("tenure_months", b"05"),
        _raw("tenure_months", b"+5"),
        b"[" * 100_000,
        b'{"a": ' * 1000,
        body() + b"\0",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_text_that_is_not_json_is_refused(content: bytes) -> None:
    _refused(content, INVALID_JSON)
    _refused(content, INVALID_JSON, batch=True)


@pytest.mark.parametrize("content", [b"null", b"[]", b"1", b'"a"', b"true", b"[{}]"])
def test_json_that_is_not_an_object_does_not_fit(content: bytes) -> None:
    _refused(content, INVALID_INPUT)
    _refused(content, INVALID_INPUT, batch=True)


def test_space_around_the_object_is_json() -> None:
    assert _PARSER.one(b"\r\n\t " + body() + b" \n") == dict(EXAMPLE)


def test_every_misfit_is_listed() -> None:
    error = _refused(body(gender="x", tenure_months=-1, extra=1), INVALID_INPUT)
    assert error.errors is not None
    assert {str(e["location"][0]) for e in error.errors} == {"gender", "tenure_months", "extra"}
    assert error.detail == "3 values do not fit the schema"


def test_an_empty_object_misses_every_required_field() -> None:
    error = _refused(b"{}", INVALID_INPUT)
    assert error.errors is not None
    assert [e["location"] for e in error.errors] == [[f.name] for f in FEATURES if not f.nullable]
    assert all(e["value"] is None for e in error.errors)


@pytest.mark.parametrize("rows", [0, _MAX_ROWS + 1])
def test_the_size_of_a_batch_is_bounded(rows: int) -> None:
    error = _refused(batch_body([dict(EXAMPLE)] * rows), INVALID_INPUT, batch=True)
    assert error.errors is not None
    assert error.errors[0]["location"] == ["customers"]


def test_a_flood_of_unknown_fields_is_refused_before_it_is_validated() -> None:
    # Validation takes microseconds for each of them: two megabytes would stop every other request for seconds.
    flood = b"{" + b",".join(b'"%d":1' % i for i in range(20_000)) + b"}"
    for content, batch in ((flood, False), (b'{"customers":[' + flood + b"]}", True)):
        error = _refused(content, INVALID_INPUT, batch=batch)
        assert "customer" in error.detail
        assert not error.errors


def test_a_few_unknown_fields_are_listed_one_by_one() -> None:
    error = _refused(body(**{f"new_{i}": 1 for i in range(10)}), INVALID_INPUT)
    assert error.errors is not None
    assert len(error.errors) == 10


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_NEAR: st.SearchStrategy[Any] = st.builds(
    lambda changes, dropped: {k: v for k, v in (dict(EXAMPLE) | changes).items() if k not in dropped},
    st.dictionaries(st.sampled_from([*FEATURE_NAMES, "customer_id", "new"]), _JSON, max_size=2),
    st.sets(st.sampled_from([*FEATURE_NAMES, "customer_id"]), max_size=1),
)


@given(_JSON | _NEAR)
def test_a_value_is_accepted_exactly_when_the_customer_model_accepts_it(value: Any) -> None:
    content = json.dumps(value).encode()
    try:
        expected = Customer.model_validate_json(content).model_dump(exclude_unset=True)
    except ValidationError:
        expected = None
    row: Row | None = None
    problem: Problem | None = None
    try:
        row = _PARSER.one(content)
    except ApiError as refusal:
        problem = refusal.problem
        json.loads(refusal.body("id"))
    assert row == expected
    assert problem in {None, INVALID_INPUT, INVALID_JSON}


@given(st.binary(max_size=200) | st.binary(max_size=5).map(lambda b: body()[:60] + b + body()[60 + len(b) :]))
def test_any_bytes_give_a_row_or_a_problem(content: bytes) -> None:
    for parse in (_PARSER.one, _PARSER.many):
        try:
            parse(content)
        except ApiError as error:
            json.loads(error.body("id"))


def test_a_batch_gives_the_rows_of_single_requests() -> None:
    rows = random_customers(_MAX_ROWS, seed=1)
    assert _PARSER.many(batch_body(rows)) == [_PARSER.one(json.dumps(r).encode()) for r in rows]


def test_a_valid_number_keeps_its_value() -> None:
    row = _PARSER.one(_raw("monthly_charges", b"84.850000000000001"))
    assert math.isclose(row["monthly_charges"], 84.85)
    assert _PARSER.one(_raw("monthly_charges", b"84"))["monthly_charges"] == 84


@pytest.mark.parametrize(
    ("query", "explained"),
    [(b"", False), (b"explain=true", True), (b"explain=false", False), (b"a=b", False), (b"a=1&explain=tr%75e", True)],
)
def test_explain_is_read_from_the_query(query: bytes, *, explained: bool) -> None:
    assert wants_explanation(query) is explained


@pytest.mark.parametrize(
    "query", [b"explain=1", b"explain=", b"explain", b"explain=True", b"explain=%ff%00" + b"x" * 500]
)
def test_explain_with_another_value_is_refused(query: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        wants_explanation(query)
    assert caught.value.problem is INVALID_INPUT
    assert caught.value.errors is not None
    assert caught.value.errors[0]["location"] == ["query", "explain"]
    assert len(caught.value.errors[0]["value"]) <= 64
    json.loads(caught.value.body("id"))
