"""Request bodies: which are read, and how much of them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message
from support.api import Api, body, make_api

pytestmark = pytest.mark.anyio

_RAW_JSON = (b"content-type", b"application/json")


def _raw_key(api: Api, key: str = "client") -> tuple[bytes, bytes]:
    return b"x-api-key", api.keys[key].encode()


def _parts(*chunks: bytes) -> list[Message]:
    last = len(chunks) - 1
    return [{"type": "http.request", "body": c, "more_body": i < last} for i, c in enumerate(chunks)]


@pytest.mark.parametrize("declared", [b"2048", b"9" * 30, b"0" * 20 + b"2048", b"1" * 5000])
async def test_a_body_announced_as_too_large_is_not_read(bundle: Path, tmp_path: Path, declared: bytes) -> None:
    api = make_api(bundle, tmp_path, max_body_bytes=2047)
    headers = [_raw_key(api), _RAW_JSON, (b"content-length", declared)]
    answer = await api.call("POST", "/v1/predict", headers=headers, messages=[{"type": "must.not.be.read"}])
    assert answer.status == 413
    assert (b"connection", b"close") in answer.headers
    assert "2047 bytes" in json.loads(answer.content)["detail"]


async def test_a_body_that_grows_too_large_is_cut_off(bundle: Path, tmp_path: Path) -> None:
    api = make_api(bundle, tmp_path, max_body_bytes=1024)
    messages: list[Message] = [{"type": "http.request", "body": b" " * 500, "more_body": True}] * 3
    messages.append({"type": "must.not.be.read"})
    answer = await api.call("POST", "/v1/predict", headers=[_raw_key(api), _RAW_JSON], messages=messages)
    assert answer.status == 413
    assert (b"connection", b"close") in answer.headers
    whole = await api.call("POST", "/v1/predict", headers=[_raw_key(api), _RAW_JSON], messages=_parts(b" " * 1025))
    assert whole.status == 413


async def test_a_body_may_be_as_large_as_the_limit_and_come_in_parts(bundle: Path, tmp_path: Path) -> None:
    api = make_api(bundle, tmp_path, max_body_bytes=1024)
    content = body().ljust(1024)
    headers = [_raw_key(api), _RAW_JSON, (b"content-length", b"1024")]
    for parts in ((content,), (content[:10], b"", content[10:]), (b"", content, b"")):
        assert (await api.call("POST", "/v1/predict", headers=headers, messages=_parts(*parts))).status == 200


async def test_a_slow_body_times_out(bundle: Path, tmp_path: Path) -> None:
    api = make_api(bundle, tmp_path, body_timeout_seconds=0.01)
    scope_headers = [_raw_key(api), _RAW_JSON]
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/v1/predict", "headers": scope_headers}
    await api.app(scope | {"query_string": b"", "root_path": ""}, receive, send)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert json.loads(sent[1]["body"])["detail"] == "the body took longer than 0.01 s"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/json-seq"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
async def test_another_type_of_body_is_refused(api: Api, headers: dict[str, str]) -> None:
    async with api.client() as client:
        answer = await client.post("/v1/predict", content=body(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
async def test_json_may_be_spelled_as_http_allows(api: Api, kind: str) -> None:
    async with api.client() as client:
        headers = {"content-type": kind, "content-encoding": "identity"}
        assert (await client.post("/v1/predict", content=body(), headers=headers)).status_code == 200


@pytest.mark.parametrize("parts", [(), (b"",), (body(),)])
async def test_a_client_that_leaves_gets_no_prediction(api: Api, parts: tuple[bytes, ...]) -> None:
    messages: list[Message] = [{"type": "http.request", "body": p, "more_body": True} for p in parts]
    messages.append({"type": "http.disconnect"})
    answer = await api.call("POST", "/v1/predict", headers=[_raw_key(api), _RAW_JSON], messages=messages)
    assert answer.status == 0
    assert api.sample("churn_http_requests_total", route="/v1/predict", method="POST", status="499") == 1
    assert sum(api.service.default.current.counters.decisions.values()) == 0
    assert api.sample("churn_http_requests_in_flight", route="/v1/predict") == 0
