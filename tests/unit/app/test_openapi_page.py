"""Clients are built from the description: it is valid and complete, and its examples really pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import validate
from starlette.routing import Route
from support.api import Api, batch_body, body
from support.bundles import random_customers
from support.telco import FEATURES, Customer

from app.errors import BY_STATUS, CATALOGUE, ProblemBody
from app.paths import DOCS_FILES, rules

_RULES = rules(["churn"])

pytestmark = pytest.mark.anyio

_JSON = {"content-type": "application/json"}


@pytest.fixture
def document(api: Api) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(json.dumps(api.app.openapi()))
    return described


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield path, method.upper(), operation


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate(document)


def test_every_rule_is_a_route_and_every_route_has_a_rule(api: Api) -> None:
    routes = {r.path for r in api.app.routes if isinstance(r, Route)}
    served = routes | set(api.app.openapi()["paths"])
    assert served == set(_RULES)


def test_every_route_but_the_page_itself_is_described(document: dict[str, Any]) -> None:
    assert set(document["paths"]) == set(_RULES) - {"/docs", *DOCS_FILES, "/openapi.json"}


def test_a_key_is_described_exactly_where_a_scope_is_needed(document: dict[str, Any]) -> None:
    for path, _, operation in _operations(document):
        assert bool(operation.get("security")) == bool(_RULES[path].scopes)
        assert ("401" in operation["responses"]) == bool(_RULES[path].scopes)
        assert ("403" in operation["responses"]) == bool(_RULES[path].scopes)


def test_every_error_is_described_as_a_problem(document: dict[str, Any]) -> None:
    reference = {"$ref": f"#/components/schemas/{ProblemBody.__name__}"}
    for path, _, operation in _operations(document):
        for status, response in operation["responses"].items():
            if int(status) in BY_STATUS and (path, status) != ("/ready", "503"):
                assert response["content"] == {"application/problem+json": {"schema": reference}}
    for problem in CATALOGUE:
        assert f"| {problem.status} | `{problem.code}` | {problem.title} |" in document["info"]["description"]


async def test_every_example_on_the_page_passes_the_real_route(api: Api, document: dict[str, Any]) -> None:
    passed = 0
    async with api.client("both") as client:
        for path, method, operation in _operations(document):
            for media, content in operation.get("requestBody", {}).get("content", {}).items():
                answer = await client.request(
                    method, path, content=json.dumps(content["example"]), headers={"content-type": media}
                )
                assert answer.status_code == 200, answer.text
                passed += 1
        for name in ("Customer", "BatchRequest"):
            for example in document["components"]["schemas"][name].get("examples", []):
                Customer.model_validate(example)
                passed += 1
        for example in document["components"]["schemas"]["BatchRequest"]["properties"]["customers"]["examples"]:
            content = json.dumps({"customers": example})
            assert (await client.post("/v1/predict/batch", content=content, headers=_JSON)).status_code == 200
            passed += 1
    # The two routes of the model under its name, and the two short ones; then three examples of schemas.
    assert passed == 6


@pytest.mark.parametrize("query", ["", "?explain=true"])
async def test_every_answer_fits_its_schema(api: Api, document: dict[str, Any], query: str) -> None:
    async with api.client("both") as client:
        for path, method, operation in _operations(document):
            sent = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
            content = None if sent is None else json.dumps(sent)
            answer = await client.request(method, path + query, content=content, headers=_JSON)
            described = operation["responses"][str(answer.status_code)]["content"]
            media = answer.headers["content-type"].partition(";")[0]
            assert media in described, (path, described)
            if media == "application/json":
                schema = described[media]["schema"] | {"components": document["components"]}
                jsonschema_rs.validator_for(schema).validate(answer.json())


async def test_every_status_a_route_answers_is_described(api: Api, document: dict[str, Any]) -> None:
    async with api.client("both") as client, api.client(key=None) as stranger, api.client("operator") as operator:
        bodies = (body(), batch_body(random_customers(2, 1)), b"{", b"{}", b"[]", b"", b" " * 3_000_000)
        for path, method, operation in _operations(document):
            seen = set()
            for sender in (client, stranger, operator):
                for content in bodies if method == "POST" else (None,):
                    for headers in (_JSON, {"content-type": "text/plain"}):
                        for query in ("", "?explain=perhaps"):
                            answer = await sender.request(method, path + query, content=content, headers=headers)
                            seen.add(str(answer.status_code))
            model, api.service.default.live = api.service.default.live, None
            content = {"/v1/predict": bodies[0], "/v1/predict/batch": bodies[1]}.get(path)
            seen.add(str((await client.request(method, path, content=content, headers=_JSON)).status_code))
            api.service.default.live = model
            assert seen <= set(operation["responses"]), path
            if path.startswith("/v1/predict"):
                assert seen == {"200", "400", "401", "403", "413", "415", "422", "503"}


def test_the_customer_on_the_page_is_the_customer_of_the_schema(document: dict[str, Any]) -> None:
    shown = document["components"]["schemas"]["Customer"]
    assert shown["additionalProperties"] is False
    assert list(shown["properties"]) == ["customer_id", *(f.name for f in FEATURES)]
    assert set(shown["required"]) == {f.name for f in FEATURES if not f.nullable}
    assert "ibm_name" not in json.dumps(document)
    limits = document["components"]["schemas"]["BatchRequest"]["properties"]["customers"]
    assert (limits["minItems"], limits["maxItems"]) == (1, 1000)
    tenure = shown["properties"]["tenure_months"]
    assert (tenure["minimum"], tenure["maximum"]) == (0, 1200)


async def test_the_page_is_there(api: Api) -> None:
    async with api.client(key=None) as client:
        page = await client.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "/openapi.json" in page.text
        assert (await client.get("/openapi.json")).json()["openapi"].startswith("3.1")
