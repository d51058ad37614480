"""Which web pages may call the API: preflights, and the marks on answers, errors included."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from pydantic import TypeAdapter, ValidationError
from support.api import Api, body, make_api

from app.settings import Settings
from infra import config_types

pytestmark = pytest.mark.anyio

SHOP = "https://shop.example"
ORIGINS = f"{SHOP} http://localhost:3000"
OTHERS = [
    "https://shop.example.attacker.example",
    "https://www.shop.example",
    "http://shop.example",
    "https://shop.example:8443",
    "https://SHOP.example",
    "null",
    "",
]
PREDICT = "/v1/predict"


def marks(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


async def preflight(client: httpx.AsyncClient, origin: str, path: str = PREDICT) -> httpx.Response:
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-api-key",
    }
    return await client.options(path, headers=headers)


@pytest.fixture
def api(bundle: Path, tmp_path: Path) -> Api:
    return make_api(bundle, tmp_path, cors_origins=ORIGINS, rate_limit="2/minute")


@pytest.mark.parametrize("origin", ORIGINS.split())
@pytest.mark.parametrize("path", [PREDICT, "/v1/predict/batch", "/v1/model", "/v1/model/refresh"])
async def test_a_preflight_of_an_allowed_origin_needs_no_key(api: Api, origin: str, path: str) -> None:
    async with api.client(None) as client:
        answer = await preflight(client, origin, path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert marks(answer) == {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": "Authorization, Content-Type, X-API-Key, X-Request-ID",
        "access-control-max-age": "600",
        "access-control-expose-headers": "Retry-After, X-Request-ID",
    }
    assert answer.headers["vary"] == "Origin"
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("origin", OTHERS)
async def test_any_other_origin_is_answered_as_without_the_setting(api: Api, origin: str) -> None:
    async with api.client(None) as client:
        answer = await preflight(client, origin)
    assert (answer.status_code, marks(answer)) == (401, {})
    assert answer.headers["vary"] == "Origin"


async def test_two_origins_are_none(api: Api) -> None:
    headers = [("origin", SHOP), ("origin", "https://attacker.example"), ("access-control-request-method", "POST")]
    async with api.client(None) as client:
        answer = await client.options(PREDICT, headers=headers)
    assert (answer.status_code, marks(answer)) == (401, {})


async def test_a_page_can_read_answers_and_errors(api: Api) -> None:
    headers = {"origin": SHOP, "content-type": "application/json"}
    async with api.client() as client:
        answers = [await client.post(PREDICT, content=body(), headers=headers) for _ in range(3)]
        missing = await client.get("/nothing", headers=headers)
    assert [answer.status_code for answer in (*answers, missing)] == [200, 200, 429, 404]
    for answer in (*answers, missing):
        assert marks(answer)["access-control-allow-origin"] == SHOP
        assert "access-control-allow-credentials" not in answer.headers
    assert answers[2].headers["retry-after"]


async def test_a_request_without_a_key_is_refused_after_its_preflight_too(api: Api) -> None:
    async with api.client(None) as client:
        answer = await client.post(PREDICT, content=body(), headers={"origin": SHOP})
        plain = await client.options(PREDICT, headers={"origin": SHOP})
    assert (answer.status_code, plain.status_code) == (401, 401), "OPTIONS alone is no preflight"


async def test_preflights_are_counted_and_use_up_no_rate(api: Api) -> None:
    async with api.client() as client:
        for _ in range(5):
            await preflight(client, SHOP)
        answer = await client.post(PREDICT, content=body(), headers={"content-type": "application/json"})
    assert answer.status_code == 200
    assert api.sample("churn_http_requests_total", route=PREDICT, method="OPTIONS", status="204") == 5


async def test_it_is_off_by_default(bundle: Path, tmp_path: Path) -> None:
    api = make_api(bundle, tmp_path)
    async with api.client(None) as client:
        answer = await preflight(client, SHOP)
        page = (await client.get("/openapi.json")).json()
    assert answer.status_code == 401
    assert marks(answer) == {}
    assert "vary" not in answer.headers
    assert not any("options" in operations for operations in page["paths"].values())


async def test_openapi_shows_the_preflights(api: Api) -> None:
    async with api.client(None) as client:
        page = (await client.get("/openapi.json")).json()
    assert {path for path, operations in page["paths"].items() if "options" in operations} == {
        PREDICT,
        "/v1/predict/batch",
        "/v1/contract",
        "/v1/model",
        "/v1/model/refresh",
        "/v1/models",
        "/v1/models/churn",
        "/v1/models/churn/batch",
        "/v1/models/churn/contract",
        "/v1/models/churn/predict",
        "/v1/models/churn/refresh",
    }
    assert page["paths"][PREDICT]["options"]["security"] == []


NO_ORIGINS = [
    *("*", "https://*.shop.example", "null", "shop.example", f"{SHOP}/", f"{SHOP}/page", "https://Shop.example"),
    *("https://shop.example:443", "http://shop.example:80", "https://user@shop.example", "ftp://shop.example"),
]


@pytest.mark.parametrize("origin", NO_ORIGINS)
def test_what_is_not_an_exact_origin_ends_the_start(origin: str) -> None:
    with pytest.raises(ValidationError, match="is not the origin of a web page"):
        Settings(auth="off", cors_origins=f"{SHOP} {origin}")


def test_the_stack_takes_the_same_origins() -> None:
    stack = TypeAdapter[str](config_types.Origin)
    assert [stack.validate_python(origin) for origin in ORIGINS.split()] == ORIGINS.split()
    for origin in NO_ORIGINS:
        with pytest.raises(ValidationError, match="write the origin of a web page"):
            stack.validate_python(origin)
