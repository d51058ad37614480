"""Keys, answers, paths and methods."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.types import Message
from support.api import Api, batch_body, body, make_api
from support.bundles import random_customers
from support.telco import EXAMPLE

from app.edge import METHODS
from app.errors import ProblemBody
from app.names import MODEL_NAME
from app.paths import rules

pytestmark = pytest.mark.anyio

_JSON = {"content-type": "application/json"}
_RAW_JSON = (b"content-type", b"application/json")


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
async def test_a_key_gives_access_to_what_its_scopes_name(
    api: Api, key: str, method: str, path: str, status: int
) -> None:
    async with api.client(key) as client:
        answer = await client.request(method, path, content=body() if method == "POST" else None, headers=_JSON)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["detail"].startswith(f"key '{key}' lacks the scope ")
        assert api.sample("churn_auth_total", outcome="forbidden") == 1


@pytest.mark.parametrize("path", ["/live", "/ready", "/metrics", "/docs", "/openapi.json"])
async def test_probes_scrapes_and_the_description_need_no_key(api: Api, path: str) -> None:
    async with api.client(key=None) as client:
        assert (await client.get(path)).status_code == 200


async def test_with_auth_off_nobody_needs_a_key(bundle: Path, tmp_path: Path) -> None:
    api = make_api(bundle, tmp_path, auth="off")
    async with api.client(key=None) as client:
        assert (await client.post("/v1/predict", content=body(), headers=_JSON)).status_code == 200
        assert (await client.post("/v1/model/refresh")).status_code == 200


@pytest.mark.parametrize("route", [r for r, rule in rules([MODEL_NAME]).items() if rule.scopes])
@pytest.mark.parametrize(
    "spelling", ["{}\n", "{}/", "/{}", "{}//", "{}/.", "{}\r", "{}\0", "{};x", "{}?", "{}%0a", " {}"]
)
async def test_no_spelling_of_a_path_avoids_its_key(api: Api, route: str, spelling: str) -> None:
    for method in ("GET", "POST", "HEAD"):
        answer = await api.call(method, spelling.format(route), headers=[_RAW_JSON], messages=_parts(body()))
        assert answer.status == 404, answer.content


async def test_no_path_is_redirected(api: Api) -> None:
    async with api.client() as client:
        for path in ("/live/", "/v1/predict/", "/docs/oauth2-redirect", "//live", "/v1/model/"):
            assert (await client.get(path)).status_code == 404


# ---------------------------------------------------------------- answers


async def test_a_prediction_is_the_models(api: Api) -> None:
    async with api.client() as client:
        answer = await client.post("/v1/predict", content=body(), headers=_JSON)
    prediction = answer.json()
    assert answer.status_code == 200
    assert prediction["customer_id"] == EXAMPLE["customer_id"]
    model = api.service.default.current.model
    score = prediction["churn_probability"]
    decision, band = model.thresholds.decide(score)
    assert prediction["decision"] == decision
    assert prediction["risk_band"] == band
    assert prediction["threshold"] == model.manifest.threshold
    assert prediction["model_version"] == model.origin.version
    assert "explanation" not in prediction


async def test_a_batch_answers_in_order_like_single_requests(api: Api) -> None:
    rows = random_customers(30, seed=8)
    async with api.client() as client:
        batch = (await client.post("/v1/predict/batch", content=batch_body(rows), headers=_JSON)).json()
        singles = [(await client.post("/v1/predict", json=row)).json() for row in rows]
    assert batch["count"] == 30
    for one, of_batch in zip(singles, batch["predictions"], strict=True):
        assert {k: one[k] for k in of_batch} == of_batch


async def test_an_explanation_comes_only_on_request(api: Api) -> None:
    async with api.client() as client:
        answer = (await client.post("/v1/predict?explain=true", content=body(), headers=_JSON)).json()
        assert answer["explanation"]["method"] == "linear"
        assert len(answer["explanation"]["contributions"]) == 19
        refused = await client.post("/v1/predict?explain=maybe", content=body(), headers=_JSON)
    assert (refused.status_code, refused.json()["errors"][0]["location"]) == (422, ["query", "explain"])


async def test_the_model_is_described(api: Api) -> None:
    async with api.client() as client:
        report = (await client.get("/v1/model")).json()
    manifest = api.service.default.current.model.manifest
    assert report["name"] == "churn"
    assert report["source"] == "folder"
    assert report["threshold"] == manifest.threshold
    assert report["metrics"] == manifest.metrics


async def test_without_a_model_predictions_are_refused_and_probes_report_it(api: Api) -> None:
    api.service.default.live = None
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
     ("/live", "GET"), ("/ready", "GET"), ("/metrics", "GET"), ("/docs", "GET, HEAD"), ("/openapi.json", "GET, HEAD"),
     ("/docs/swagger-ui.css", "GET, HEAD")],
)  # fmt: skip
async def test_a_wrong_method_is_answered_with_the_allowed_ones(api: Api, path: str, allowed: str) -> None:
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
