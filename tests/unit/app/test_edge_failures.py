"""Request ids, and the handling of unexpected failures."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from starlette.types import Message
from support.api import Api, batch_body, body
from support.telco import EXAMPLE

from app.errors import ProblemBody
from app.model import Model

pytestmark = pytest.mark.anyio

_JSON = {"content-type": "application/json"}
_RAW_JSON = (b"content-type", b"application/json")


def _raw_key(api: Api, key: str = "client") -> tuple[bytes, bytes]:
    return b"x-api-key", api.keys[key].encode()


def _parts(*chunks: bytes) -> list[Message]:
    last = len(chunks) - 1
    return [{"type": "http.request", "body": c, "more_body": i < last} for i, c in enumerate(chunks)]


async def test_a_request_id_is_echoed(api: Api) -> None:
    async with api.client() as client:
        for request_id in ("abc-123", "A.b_c", "x" * 64):
            for path in ("/live", "/nope"):
                answer = await client.get(path, headers={"x-request-id": request_id})
                assert answer.headers["x-request-id"] == request_id
                assert answer.json().get("request_id", request_id) == request_id


@pytest.mark.parametrize("hostile", [b"", b"x" * 65, b'a"b', b"a b", b"a\nb", b"\xff", b"<script>", b"{}", b"abc\n"])
async def test_a_hostile_request_id_is_replaced(api: Api, hostile: bytes) -> None:
    answer = await api.call("GET", "/nope", headers=[(b"x-request-id", hostile)])
    request_ids = [value for name, value in answer.headers if name == b"x-request-id"]
    assert len(request_ids) == 1
    assert request_ids[0] != hostile
    assert json.loads(answer.content)["request_id"].encode() == request_ids[0]


async def test_generated_request_ids_are_unique(api: Api) -> None:
    ids = [dict((await api.call("GET", "/live")).headers)[b"x-request-id"] for _ in range(50)]
    assert len(set(ids)) == 50


async def test_an_unexpected_failure_is_a_problem_and_its_reason_is_logged(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("canary: broken inside")

    monkeypatch.setattr(Model, "score", fail)
    async with api.client() as client:
        for path, content in (("/v1/predict", body()), ("/v1/predict/batch", batch_body([dict(EXAMPLE)]))):
            answer = await client.post(path, content=content, headers=_JSON)
            assert answer.status_code == 500
            problem = ProblemBody.model_validate_json(answer.content)
            assert problem.detail == "the failure is in the server's log"
            assert "canary" not in answer.text
            record = caplog.records[-1]
            assert problem.request_id in record.getMessage()
            assert record.levelno == logging.ERROR
            assert record.exc_info is not None
    monkeypatch.undo()
    async with api.client() as client:
        assert (await client.post("/v1/predict", content=body(), headers=_JSON)).status_code == 200


async def test_a_failure_after_the_answer_began_ends_the_connection(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return _parts(body())[0]

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise RuntimeError("canary: broken pipe")
        sent.append(message)

    monkeypatch.setattr(logging.getLogger("app"), "propagate", True)
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/v1/predict", "root_path": ""}
    scope |= {"query_string": b"", "headers": [_raw_key(api), _RAW_JSON]}
    with pytest.raises(RuntimeError, match="broken pipe"):
        await api.app(scope, receive, send)
    assert [m["type"] for m in sent] == ["http.response.start"]
    assert any("failed" in r.getMessage() for r in caplog.records)
