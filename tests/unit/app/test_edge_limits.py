"""Rates, bounded concurrency and draining."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from types import SimpleNamespace

import httpx
import limits.storage.memory
import limits.strategies
import pytest
from limits.storage import MemoryStorage
from support.api import Api, batch_body, body, make_api
from support.telco import EXAMPLE

from app import ratelimit, served
from app.model import load

pytestmark = pytest.mark.anyio

_JSON = {"content-type": "application/json"}


class _Clock:
    """A clock that advances only when the test says so."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.4

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    for module in (limits.storage.memory, limits.strategies, ratelimit):
        monkeypatch.setattr(module, "time", SimpleNamespace(time=clock.time))
    return clock


async def _predict(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/v1/predict", content=body(), headers=_JSON)


# ---------------------------------------------------------------- rates


async def test_a_key_over_its_rate_is_refused_until_it_recovers(bundle: Path, tmp_path: Path, clock: _Clock) -> None:
    api = make_api(bundle, tmp_path, rate_limit="3/10second")
    async with api.client() as client:
        assert [(await _predict(client)).status_code for _ in range(3)] == [200] * 3
        refused = await _predict(client)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate-limited")
        wait = int(refused.headers["retry-after"])
        assert 1 <= wait <= 20
        assert refused.json()["detail"] == f"the rate of key 'client' is used up; try again in {wait} s"
        clock.now += wait
        assert (await _predict(client)).status_code == 200
    assert api.sample("churn_rate_limit_total", outcome="passed") == 4
    assert api.sample("churn_rate_limit_total", outcome="refused") == 1


async def test_each_key_has_its_own_rate(bundle: Path, tmp_path: Path, clock: _Clock) -> None:
    assert clock.now
    api = make_api(bundle, tmp_path, rate_limit="1/minute", rates={"both": "4/minute"})
    async with api.client("client") as one, api.client("both") as other:
        assert [(await _predict(one)).status_code for _ in range(2)] == [200, 429]
        assert [(await _predict(other)).status_code for _ in range(5)] == [200] * 4 + [429]


async def test_every_part_of_a_rate_applies(bundle: Path, tmp_path: Path, clock: _Clock) -> None:
    api = make_api(bundle, tmp_path, rate_limit="2/second;3/hour")
    statuses = []
    async with api.client() as client:
        for _ in range(4):
            statuses.append((await _predict(client)).status_code)
            clock.now += 2
        last = await _predict(client)
    assert statuses == [200, 200, 200, 429]
    assert int(last.headers["retry-after"]) > 60


async def test_batches_count_towards_the_rate_and_look_ups_do_not(bundle: Path, tmp_path: Path, clock: _Clock) -> None:
    assert clock.now
    api = make_api(bundle, tmp_path, rate_limit="1/minute")
    async with api.client("both") as client:
        content = batch_body([dict(EXAMPLE)])
        assert (await client.post("/v1/predict/batch", content=content, headers=_JSON)).status_code == 200
        assert (await _predict(client)).status_code == 429
        for _ in range(5):
            assert (await client.get("/v1/model")).status_code == 200
            assert (await client.post("/v1/model/refresh")).status_code == 200
            assert (await client.get("/ready")).status_code == 200


async def test_a_request_without_a_valid_key_counts_towards_no_rate(
    bundle: Path, tmp_path: Path, clock: _Clock
) -> None:
    assert clock.now
    api = make_api(bundle, tmp_path, rate_limit="1/minute")
    async with api.client(key=None) as stranger, api.client() as client:
        for key in ("client.wrong", api.keys["operator"]):
            refused = await stranger.post("/v1/predict", content=body(), headers={"x-api-key": key, **_JSON})
            assert refused.status_code in {401, 403}
        assert (await _predict(client)).status_code == 200


# ---------------------------------------------------------------- concurrency


async def _held(api: Api, path: str, release: asyncio.Event) -> int:
    """A request whose body arrives after ``release``."""
    done = False

    async def receive() -> dict[str, object]:
        nonlocal done
        if done:
            return {"type": "http.disconnect"}
        done = True
        await release.wait()
        content = body() if path == "/v1/predict" else batch_body([dict(EXAMPLE)])
        return {"type": "http.request", "body": content, "more_body": False}

    statuses: list[int] = []

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(b"x-api-key", api.keys["client"].encode()), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "root_path": "", "query_string": b"", "headers": headers}
    await api.app(scope, receive, send)
    return statuses[0]


@pytest.mark.parametrize(("path", "admitted"), [("/v1/predict", 16), ("/v1/predict/batch", 2)])
async def test_requests_over_capacity_are_refused_at_once(
    bundle: Path, tmp_path: Path, path: str, admitted: int
) -> None:
    api = make_api(bundle, tmp_path, max_concurrency=16)
    release = asyncio.Event()
    held = [asyncio.create_task(_held(api, path, release)) for _ in range(admitted)]
    await asyncio.sleep(0.01)
    assert api.sample("churn_http_requests_in_flight", route=path) == admitted
    async with api.client() as client:
        answers = await asyncio.gather(*(_predict(client) for _ in range(30)))
        assert {a.status_code for a in answers} == {503}
        assert {a.json()["code"] for a in answers} == {"overloaded"}
        assert {a.headers["retry-after"] for a in answers} == {"1"}
        for probe in ("/live", "/ready", "/metrics", "/v1/model"):
            assert (await client.get(probe)).status_code == 200
        release.set()
        assert await asyncio.gather(*held) == [200] * admitted
        assert (await _predict(client)).status_code == 200
    assert api.sample("churn_http_requests_in_flight", route=path) == 0


async def test_many_concurrent_requests_get_an_answer_or_a_refusal_and_nothing_leaks(
    bundle: Path, tmp_path: Path
) -> None:
    api = make_api(bundle, tmp_path, max_concurrency=8)
    async with api.client() as client:
        answers = await asyncio.gather(*(_predict(client) for _ in range(100)))
        statuses = [a.status_code for a in answers]
        assert set(statuses) == {200, 503}
        assert statuses.count(200) >= 8
        # Failed requests free their place too.
        for content in (b"{", b"{}"):
            await asyncio.gather(*(client.post("/v1/predict", content=content, headers=_JSON) for _ in range(20)))
        again = await asyncio.gather(*(_predict(client) for _ in range(8)))
        assert [a.status_code for a in again] == [200] * 8


async def test_a_cancelled_request_frees_its_place(bundle: Path, tmp_path: Path) -> None:
    api = make_api(bundle, tmp_path, max_concurrency=1)
    held = asyncio.create_task(_held(api, "/v1/predict", asyncio.Event()))
    await asyncio.sleep(0.01)
    held.cancel()
    with pytest.raises(asyncio.CancelledError):
        await held
    async with api.client() as client:
        assert (await _predict(client)).status_code == 200
    assert api.sample("churn_http_requests_total", route="/v1/predict", method="POST", status="499") == 1


# ---------------------------------------------------------------- draining and swapping


async def test_a_draining_process_answers_and_closes_its_connections(api: Api) -> None:
    async with api.client() as client:
        assert "connection" not in (await _predict(client)).headers
        api.service.draining = True
        for method, path, status in (("GET", "/ready", 503), ("GET", "/live", 200), ("GET", "/nope", 404)):
            answer = await client.request(method, path)
            assert (answer.status_code, answer.headers["connection"]) == (status, "close")
        answer = await _predict(client)
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        ready = (await client.get("/ready")).json()
        assert ready["status"] == "draining"


async def test_a_new_model_unfreezes_and_freezes_the_live_objects(
    api: Api, other_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    names = ("unfreeze", "collect", "freeze")
    assert all(callable(getattr(gc, n)) for n in names)
    recorder = SimpleNamespace(**{n: lambda n=n: calls.append(n) for n in names})
    monkeypatch.setattr(served, "gc", recorder)
    before = api.service.default.current.model
    api.service.default.put_into_service(api.service.default.prepare(load(other_bundle)))
    assert calls == list(names)
    assert api.service.default.current.model is not before
    async with api.client() as client:
        assert (await _predict(client)).json()["model_version"] == api.service.default.current.model.origin.version


def test_the_clock_of_these_tests_is_the_one_the_library_reads(clock: _Clock) -> None:
    storage = MemoryStorage()
    storage.incr("key", 60)
    assert storage.get_expiry("key") == clock.now + 60
