"""Admission, keys, errors and request ids: what happens to a request before and after its route."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message
from support.api import Api, batch_body, body, make_api
from support.bundles import random_customers

from app.edge import METHODS, RULES
from app.errors import ProblemBody
from app.model import Model
from app.schemas import EXAMPLE

pytestmark = pytest.mark.anyio

_JSON = {"content-type": "application/json"}
_RAW_JSON = (b"content-type", b"application/json")


def _raw_key(api: Api, key: str = "client") -> tuple[bytes, bytes]:
    return b"x-api-key", api.keys[key].encode()


def _parts(*chunks: bytes) -> list[Message]:
    last = len(chunks) - 1
    return [{"type": "http.request", "body": c, "more_body": i < last} for i, c in enumerate(chunks)]


# ---------------------------------------------------------------- keys


async def test_a_prediction_needs_a_key(api: Api) -> None:
    async with api.client(key=None) as client:
        for path in ("/v1/predict", "/v1/predict/batch", "/v1/model/refresh"):
            answer = await client.post(path, content=body(), headers=_JSON)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Bearer realm="churn"'
            assert answer.json()["code"] == "unauthorized"
            assert "X-API-Key" in answer.json()["detail"]
        assert (await client.get("/v1/model")).status_code == 401
    assert api.sample("churn_auth_total", outcome="missing") == 4


@pytest.mark.parametrize("wrong", ["client.wrong", "nobody.x", "x" * 1000, "client", "."])
async def test_a_wrong_key_is_refused_without_saying_what_is_wrong(api: Api, wrong: str) -> None:
    async with api.client(key=None) as client:
        answer = await client.post("/v1/predict", content=body(), headers={"x-api-key": wrong, **_JSON})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="churn"'
    assert answer.json()["detail"] == "the key is not, or no longer, valid"
    assert api.sample("churn_auth_total", outcome="invalid") == 1


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_bearer_token_is_a_key_too(api: Api, scheme: str) -> None:
    async with api.client(key=None) as client:
        headers = {"authorization": f"{scheme} {api.keys['client']}", **_JSON}
        assert (await client.post("/v1/predict", content=body(), headers=headers)).status_code == 200
        headers = {"authorization": f"Basic {api.keys['client']}", **_JSON}
        assert (await client.post("/v1/predict", content=body(), headers=headers)).status_code == 401
    assert api.sample("churn_auth_total", outcome="accepted") == 1


@pytest.mark.parametrize(
    ("key", "method", "path", "status"),
    [
        ("client", "POST", "/v1/predict", 200),
        ("client", "GET", "/v1/model", 200),
        ("client", "POST", "/v1/model/refresh", 403),
        ("operator", "POST", "/v1/predict", 403),
        ("operator", "POST", "/v1/predict/batch", 403),
        ("operator", "GET", "/v1/model", 200),
        ("operator", "POST", "/v1/model/refresh", 200),
        ("both", "POST", "/v1/predict", 200),
        ("both", "POST", "/v1/model/refresh", 200),
    ],
)
async def test_a_key_opens_what_its_scopes_name(api: Api, key: str, method: str, path: str, status: int) -> None:
    async with api.client(key) as client:
        answer = await client.request(method, path, content=body() if method == "POST" else None, headers=_JSON)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["detail"].startswith(f"key '{key}' has no scope ")
        assert api.sample("churn_auth_total", outcome="forbidden") == 1


@pytest.mark.parametrize("path", ["/live", "/ready", "/metrics", "/docs", "/openapi.json"])
async def test_probes_scrapes_and_the_description_need_no_key(api: Api, path: str) -> None:
    async with api.client(key=None) as client:
        assert (await client.get(path)).status_code == 200


async def test_with_auth_off_everybody_may(bundle: Path, tmp_path: Path) -> None:
    api = make_api(bundle, tmp_path, auth="off")
    async with api.client(key=None) as client:
        assert (await client.post("/v1/predict", content=body(), headers=_JSON)).status_code == 200
        assert (await client.post("/v1/model/refresh")).status_code == 200


@pytest.mark.parametrize("route", [r for r, rule in RULES.items() if rule.scopes])
@pytest.mark.parametrize(
    "spelling", ["{}\n", "{}/", "/{}", "{}//", "{}/.", "{}\r", "{}\0", "{};x", "{}?", "{}%0a", " {}"]
)
async def test_no_spelling_of_a_path_passes_by_its_key(api: Api, route: str, spelling: str) -> None:
    for method in ("GET", "POST", "HEAD"):
        answer = await api.call(method, spelling.format(route), headers=[_RAW_JSON], messages=_parts(body()))
        assert answer.status == 404, answer.content


async def test_no_path_is_redirected(api: Api) -> None:
    async with api.client() as client:
        for path in ("/live/", "/v1/predict/", "/docs/oauth2-redirect", "//live", "/v1/model/"):
            assert (await client.get(path)).status_code == 404


# ---------------------------------------------------------------- answers


async def test_a_prediction_is_that_of_the_model(api: Api) -> None:
    async with api.client() as client:
        answer = await client.post("/v1/predict", content=body(), headers=_JSON)
    prediction = answer.json()
    assert answer.status_code == 200
    assert prediction["customer_id"] == EXAMPLE["customer_id"]
    model = api.service.counters.model
    score = prediction["churn_probability"]
    assert prediction["decision"] == model.decision(score)
    assert prediction["risk_band"] == model.band(score)
    assert prediction["threshold"] == model.manifest.threshold
    assert prediction["model_version"] == model.origin.version
    assert "explanation" not in prediction


async def test_a_batch_answers_in_order_as_its_singles(api: Api) -> None:
    rows = random_customers(30, seed=8)
    async with api.client() as client:
        batch = (await client.post("/v1/predict/batch", content=batch_body(rows), headers=_JSON)).json()
        singles = [(await client.post("/v1/predict", json=row)).json() for row in rows]
    assert batch["count"] == 30
    for one, of_batch in zip(singles, batch["predictions"], strict=True):
        assert {k: one[k] for k in of_batch} == of_batch


async def test_an_explanation_is_given_when_asked_for(api: Api) -> None:
    async with api.client() as client:
        answer = (await client.post("/v1/predict?explain=true", content=body(), headers=_JSON)).json()
        assert answer["explanation"]["method"] == "linear"
        assert len(answer["explanation"]["contributions"]) == 19
        refused = await client.post("/v1/predict?explain=maybe", content=body(), headers=_JSON)
    assert (refused.status_code, refused.json()["errors"][0]["location"]) == (422, ["query", "explain"])


async def test_the_model_is_described(api: Api) -> None:
    async with api.client() as client:
        report = (await client.get("/v1/model")).json()
    manifest = api.service.counters.model.manifest
    assert report["name"] == "churn"
    assert report["source"] == "folder"
    assert report["threshold"] == manifest.threshold
    assert report["metrics"] == manifest.metrics


async def test_without_a_model_predictions_wait_and_probes_tell(api: Api) -> None:
    api.service.metrics.model = None
    async with api.client() as client:
        for path, content in (("/v1/predict", body()), ("/v1/predict/batch", batch_body([dict(EXAMPLE)]))):
            answer = await client.post(path, content=content, headers=_JSON)
            assert (answer.status_code, answer.json()["code"]) == (503, "no-model")
            assert answer.headers["retry-after"] == "2"
        assert (await client.get("/v1/model")).status_code == 503
        assert (await client.get("/live")).status_code == 200
        ready = await client.get("/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "starting")


# ---------------------------------------------------------------- paths and methods


@pytest.mark.parametrize("path", ["/", "/nope", "/v1", "/v2/predict", "/v1/predict/1", "/V1/predict", "/.env", "/ü"])
async def test_an_unknown_path_is_a_problem(api: Api, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        async with api.client() as client:
            answer = await client.request(method, path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert ProblemBody.model_validate_json(answer.content).code == "not-found"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/v1/predict", "POST"), ("/v1/predict/batch", "POST"), ("/v1/model/refresh", "POST"), ("/v1/model", "GET"),
     ("/live", "GET"), ("/ready", "GET"), ("/metrics", "GET"), ("/docs", "GET, HEAD"), ("/openapi.json", "GET, HEAD")],
)  # fmt: skip
async def test_another_method_is_told_the_right_one(api: Api, path: str, allowed: str) -> None:
    async with api.client("both") as client:
        for method in METHODS - set(allowed.split(", ")) - {"HEAD"}:
            answer = await client.request(method, path)
            assert answer.status_code == 405, method
            assert {m.strip() for m in answer.headers["allow"].split(",")} == set(allowed.split(", "))
            assert answer.json()["code"] == "method-not-allowed"


async def test_head_is_answered_without_a_body(api: Api) -> None:
    for path, status in (("/nope", 404), ("/live", 405), ("/v1/predict", 401)):
        answer = await api.call("HEAD", path)
        assert (answer.status, answer.content) == (status, b"")
        assert int(dict(answer.headers)[b"content-length"]) > 0


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize("declared", [b"2048", b"9" * 30, b"0" * 20 + b"2048", b"1" * 5000])
async def test_a_body_that_says_it_is_too_large_is_not_read(bundle: Path, tmp_path: Path, declared: bytes) -> None:
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


async def test_a_slow_body_is_given_up(bundle: Path, tmp_path: Path) -> None:
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
    assert sum(api.service.counters.decisions.values()) == 0
    assert api.sample("churn_http_requests_in_flight", route="/v1/predict") == 0


# ---------------------------------------------------------------- request ids and failures


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
    given = [value for name, value in answer.headers if name == b"x-request-id"]
    assert len(given) == 1
    assert given[0] != hostile
    assert json.loads(answer.content)["request_id"].encode() == given[0]


async def test_own_request_ids_are_unique(api: Api) -> None:
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
