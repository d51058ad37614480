"""Every line is one JSON object, and none holds a value of a customer or a key."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from support.api import Api, batch_body, body, make_api

from app import logs
from app.logs import JsonFormatter, RequestLog
from app.model import Model

pytestmark = pytest.mark.anyio

_JSON = {"content-type": "application/json"}
_CANARY = "canary-7f3a"
_CHARGES = 7361.5482


class _Out:
    """The output that the process of this test has written so far."""

    def __init__(self, captured: pytest.CaptureFixture[bytes]) -> None:
        self._captured = captured
        self._text = b""

    @property
    def text(self) -> str:
        self._text += self._captured.readouterr().out
        return self._text.decode()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def out(capsysbinary: pytest.CaptureFixture[bytes]) -> _Out:
    return _Out(capsysbinary)


@pytest.fixture
def logging_api(bundle: Path, tmp_path: Path) -> Api:
    return make_api(bundle, tmp_path, log_requests=True)


async def test_each_request_is_one_line(logging_api: Api, out: _Out) -> None:
    async with logging_api.client() as client:
        await client.post("/v1/predict", content=body(), headers={"x-request-id": "abc", **_JSON})
        await client.get("/nope", headers={"x-request-id": "def"})
    await asyncio.sleep(0)  # lines are written at the end of the loop's turn
    first, second = out.lines
    assert first.pop("ms") >= 0
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "info",
        "logger": "request",
        "request_id": "abc",
        "method": "POST",
        "route": "/v1/predict",
        "status": 200,
        "client": "client",
    }
    assert (second["route"], second["status"], second["client"]) == ("unknown", 404, "-")


async def test_no_line_holds_a_value_a_key_a_header_or_a_query(
    logging_api: Api, out: _Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    formatted = logging.StreamHandler(sys.stdout)
    formatted.setFormatter(JsonFormatter())
    logging.getLogger().addHandler(formatted)
    key = logging_api.keys["client"]
    row = json.loads(body(customer_id=_CANARY, monthly_charges=_CHARGES))
    wrong = body(customer_id=_CANARY + "!", contract=_CANARY, **{_CANARY: _CANARY}, monthly_charges=_CHARGES * 10)
    try:
        async with logging_api.client() as client:
            url = f"/v1/predict?{_CANARY}={_CANARY}"
            hostile = {"x-request-id": f'"{_CANARY}', "user-agent": _CANARY, "referer": _CANARY, **_JSON}
            assert (await client.post(url, content=json.dumps(row), headers=hostile)).status_code == 200
            assert (await client.post(url, content=wrong, headers=hostile)).status_code == 422
            assert (await client.post(url, content=f'{{"{_CANARY}', headers=hostile)).status_code == 400
            assert (
                await client.post("/v1/predict/batch", content=batch_body([row]), headers=hostile)
            ).status_code == 200
            assert (await client.get(f"/{_CANARY}", headers=hostile)).status_code == 404
            assert (await client.get("/v1/model", headers={"x-api-key": f"client.{_CANARY}"})).status_code == 401
            assert (await client.get("/v1/model", headers={"x-api-key": f"{_CANARY}.{_CANARY}"})).status_code == 401
            await logging_api.call("POST", "/v1/predict", headers=[(_CANARY.encode(), _CANARY.encode())])
            await logging_api.call(f"{_CANARY}", "/live")

            def fail(*_: object) -> None:
                raise RuntimeError("broken")

            monkeypatch.setattr(Model, "score", fail)
            assert (await client.post(url, content=json.dumps(row), headers=hostile)).status_code == 500
    finally:
        logging.getLogger().removeHandler(formatted)
    await asyncio.sleep(0)
    assert len(out.lines) == 11
    assert any("exception" in line for line in out.lines)
    for secret in (_CANARY, str(_CHARGES), key, key.partition(".")[2], "7590-VHVEG", "Fiber", "Electronic"):
        assert secret not in out.text


async def test_without_the_request_log_nothing_is_written(api: Api, out: _Out) -> None:
    async with api.client() as client:
        await client.post("/v1/predict", content=body(), headers=_JSON)
    await asyncio.sleep(0)
    assert out.lines == []


async def test_lines_of_one_turn_are_written_together() -> None:
    writes: list[bytes] = []

    class Stream(io.BytesIO):
        def write(self, data: Any) -> int:
            writes.append(bytes(data))
            return len(data)

    log = RequestLog(Stream())
    for i in range(3):
        log.write(request_id=str(i), method="GET", route="/live", status=200, seconds=0.5, client="-")
    assert writes == []
    log.flush()
    (written,) = writes
    lines = [json.loads(line) for line in written.splitlines()]
    assert [line["request_id"] for line in lines] == ["0", "1", "2"]
    assert {line["ms"] for line in lines} == {500.0}


def test_other_log_lines_are_json_with_their_exception(out: _Out, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    logs.configure()
    error = ValueError('with "quotes"\nand a line end')
    logging.getLogger("app").error("it %s", "failed", exc_info=error)
    (line,) = out.lines
    assert (line["level"], line["logger"], line["message"]) == ("error", "app", "it failed")
    assert "ValueError: with" in line["exception"]
    assert logging.getLogger("httpx").level == logging.WARNING
