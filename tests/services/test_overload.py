from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.bundles import random_customers, write_keys
from support.servers import Api

pytestmark = [
    pytest.mark.service,
    pytest.mark.long(seconds=30, together=__name__),
]

CUSTOMERS = random_customers(1000, seed=16)
CLIENTS = 100


@pytest.fixture
def api(bundles: list[Path], tmp_path: Path) -> Iterator[Api]:
    """A process that takes few requests at a time, and one key with a low rate."""
    keys = write_keys(
        tmp_path / "keys.json",
        {"free": ["predict"], "slow": ["predict"]},
        rates={"free": "1000000/second", "slow": "20/minute"},
    )
    settings = {
        "model_source": bundles[0],
        "max_concurrency": 8,
        "auth": "required",
        "api_keys_file": tmp_path / "keys.json",
    }
    with Api(tmp_path, key=keys["free"], **settings) as api:
        api.client.headers["x-slow-key"] = keys["slow"]
        yield api


async def _flood(api: Api, requests_each: int) -> list[httpx.Response]:
    keys = (api.client.headers["x-api-key"], api.client.headers["x-slow-key"])
    limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    async with httpx.AsyncClient(base_url=api.url, timeout=60, limits=limits, trust_env=False) as client:

        async def one(number: int) -> list[httpx.Response]:
            answers = []
            for turn in range(requests_each):
                headers = {"x-api-key": keys[number % len(keys)]}
                path, body = (
                    ("/v1/predict/batch", {"customers": CUSTOMERS})
                    if number % 3 == 0
                    else ("/v1/predict", CUSTOMERS[turn])
                )
                answers.append(await client.post(path, json=body, headers=headers))
            return answers

        return [answer for answers in await asyncio.gather(*map(one, range(CLIENTS))) for answer in answers]


def test_more_than_it_can_take_gets_refusals_and_no_errors(api: Api) -> None:
    answers = asyncio.run(_flood(api, 10))
    counts = Counter(answer.status_code for answer in answers)
    assert set(counts) == {200, 429, 503}, counts
    for answer in answers:
        if answer.status_code != 200:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["code"] in {"rate-limited", "overloaded"}
    metrics = api.metrics()
    for status, count in counts.items():
        seen = sum(
            v
            for k, v in metrics.items()
            if k.startswith("churn_http_requests_total") and f'status="{status}"' in k and "predict" in k
        )
        assert seen == count
    # Afterwards nothing of it is left.
    assert all(api.client.post("/v1/predict", json=customer).status_code == 200 for customer in CUSTOMERS[:50])
    assert api.client.post("/v1/predict/batch", json={"customers": CUSTOMERS}).status_code == 200
    assert api.metrics()['churn_http_requests_in_flight{route="/v1/predict"}'] == 0


def test_probes_are_answered_however_busy_it_is(api: Api) -> None:
    async def probe_in_between() -> list[int]:
        flood = asyncio.create_task(_flood(api, 5))
        statuses = []
        async with httpx.AsyncClient(base_url=api.url, timeout=60, trust_env=False) as client:
            while not flood.done():
                statuses += [(await client.get(path)).status_code for path in ("/live", "/ready", "/metrics")]
        await flood
        return statuses

    assert set(asyncio.run(probe_in_between())) == {200}
