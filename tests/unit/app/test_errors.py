from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from support.api import Api, body

from app import errors
from app.errors import CATALOGUE, MAX_LISTED, ApiError, FieldError, Problem, ProblemBody, invalid_input, retry_after

pytestmark = pytest.mark.anyio

_CLASS_PREFIX = "urn:churn:problem:"
# Signs of internals: a path, a module of ours or of a library, a traceback, the name of an exception.
_INTERNALS = re.compile(
    r"/(home|usr|tmp|work|root|app|site-packages)\b|Traceback|\.py\b|Error\b|pydantic|starlette|onnx"
)


def _misfits(count: int) -> ApiError:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(list[int]).validate_python(["x"] * count)
    return invalid_input(caught.value.errors())


def test_codes_and_types_are_unique() -> None:
    for values in ([p.code for p in CATALOGUE], [p.type for p in CATALOGUE], [p.title for p in CATALOGUE]):
        assert max(Counter(values).values()) == 1


def test_the_catalogue_holds_every_problem_of_the_module() -> None:
    assert {p for p in vars(errors).values() if isinstance(p, Problem)} == set(CATALOGUE)
    assert {p.status for p in CATALOGUE} == set(errors.BY_STATUS)


@pytest.mark.parametrize("problem", CATALOGUE, ids=lambda p: p.code)
def test_every_problem_has_the_documented_body(problem: Problem) -> None:
    document = json.loads(ApiError(problem, "some detail").body("id-1"))
    shown = ProblemBody.model_validate(document, strict=True, extra="forbid")
    assert (shown.status, shown.code, shown.type) == (problem.status, problem.code, _CLASS_PREFIX + problem.code)
    assert shown.request_id == "id-1"
    assert shown.errors is None
    assert 400 <= problem.status <= 599


def test_a_long_list_of_misfits_is_cut_and_says_so() -> None:
    error = _misfits(MAX_LISTED + 1)
    shown = ProblemBody.model_validate_json(error.body("id"))
    assert shown.errors is not None
    assert len(shown.errors) == MAX_LISTED
    assert shown.detail == "51 values do not fit the schema; the first 50 are listed"
    assert _misfits(MAX_LISTED).detail == "50 values do not fit the schema"
    assert _misfits(1).detail == "1 value does not fit the schema"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * 1000, "'" + "x" * 62 + "…"),
        ("\ud800", "'\\ud800'"),
        ({"secret": 1}, "(dict of 1)"),
        ([1, 2], "(list of 2)"),
        (None, "None"),
    ],
)
def test_a_value_is_shown_shortened_and_encodable(value: Any, shown: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(int).validate_python(value)
    error = invalid_input(caught.value.errors())
    assert error.errors is not None
    assert FieldError.model_validate(error.errors[0]).value == shown
    json.loads(error.body("id"))


def test_a_long_or_odd_field_name_is_shortened() -> None:
    details: Any = {"type": "x", "loc": ("customers", 3, "n" * 1000, "\udfff"), "msg": "m", "input": 1}
    location = errors.field_error(details)["location"]
    assert location == ["customers", 3, "n" * 63 + "…", "\\udfff"]


@pytest.mark.parametrize(("seconds", "header"), [(0, b"1"), (-5, b"1"), (7, b"7")])
def test_retry_after_is_at_least_a_second(seconds: int, header: bytes) -> None:
    assert retry_after(seconds) == (b"retry-after", header)


async def test_no_error_body_shows_internals(api: Api, bundle: Path) -> None:
    key = (b"x-api-key", api.keys["client"].encode())
    json_type = (b"content-type", b"application/json")

    def sent(content: bytes) -> list[Any]:
        return [{"type": "http.request", "body": content, "more_body": False}]

    answers = [
        await api.call("GET", "/nothing/here"),
        await api.call("DELETE", "/live"),
        await api.call("POST", "/v1/predict"),
        await api.call("POST", "/v1/predict", headers=[(b"x-api-key", b"no.such")]),
        await api.call("POST", "/v1/model/refresh", headers=[key]),
        await api.call("POST", "/v1/predict", headers=[key]),
        await api.call("POST", "/v1/predict", headers=[key, json_type], messages=sent(b"{")),
        await api.call("POST", "/v1/predict", headers=[key, json_type], messages=sent(body(gender=[1], no_such=2))),
        await api.call("POST", "/v1/predict", headers=[key, json_type, (b"content-length", b"9" * 12)]),
        await api.call("POST", "/v1/predict", headers=[key, json_type], query=b"explain=2"),
    ]
    api.service.default.live = None
    answers.append(await api.call("POST", "/v1/predict", headers=[key, json_type], messages=sent(body())))
    assert [a.status for a in answers] == [404, 405, 401, 401, 403, 415, 400, 422, 413, 422, 503]
    for answer in answers:
        ProblemBody.model_validate_json(answer.content)
        assert (b"content-type", b"application/problem+json") in answer.headers
        text = answer.content.decode()
        assert not _INTERNALS.search(text), text
        assert str(bundle) not in text
        assert api.keys["client"] not in text
