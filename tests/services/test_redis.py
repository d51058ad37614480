from __future__ import annotations

import math
import signal
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from support.bundles import write_keys
from support.proxy import DelayingProxy
from support.redis_api import (
    CUSTOMERS,
    NEVER_AGAIN,
    PATIENT,
    SOON_AGAIN,
    alone,
    cache,
    caching,
    expect_whole_answers,
    limits,
    up,
)
from support.servers import Api, Redis, wait_until
from support.traffic import Traffic

pytestmark = pytest.mark.service
SELDOM = pytest.mark.long(seconds=20, together=__name__)


def test_processes_share_the_rate_of_a_key(redis_server: Redis, bundles: list[Path], tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys.json", {"few": ["predict"], "many": ["predict"]}, rates={"few": "20/day"})
    settings = {
        "model_source": bundles[0],
        "redis_url": redis_server.url,
        "auth": "required",
        "api_keys_file": tmp_path / "keys.json",
    } | PATIENT
    with (
        Api(tmp_path / "first", key=keys["few"], **settings) as first,
        Api(tmp_path / "second", key=keys["few"], **settings) as second,
    ):
        answers = [api.client.post("/v1/predict", json=CUSTOMERS[0]) for _ in range(15) for api in (first, second)]
        assert Counter(answer.status_code for answer in answers) == {200: 20, 429: 10}
        refused = [answer for answer in answers if answer.status_code == 429]
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert {answer.json()["code"] for answer in refused} == {"rate-limited"}
        other = first.client.post("/v1/predict", json=CUSTOMERS[0], headers={"x-api-key": keys["many"]})
        assert other.status_code == 200
        totals = Counter(limits(first)) + Counter(limits(second))
        assert totals == {"passed": 21, "refused": 10}
        assert alone(first) == alone(second) == 0


def test_a_cached_answer_is_the_same(
    redis_server: Redis, bundles: list[Path], redis_scores: list[float], tmp_path: Path
) -> None:
    with Api(tmp_path / "plain", model_source=bundles[0]) as plain:
        expected = [plain.predict(customer) for customer in CUSTOMERS]
    with Api(tmp_path / "cached", **caching(bundles[0], redis_server, **PATIENT)) as api:
        assert [api.predict(customer) for customer in CUSTOMERS] == expected
        assert cache(api) == {"hit": 0, "miss": len(CUSTOMERS), "off": 0}
        assert [api.predict(customer) for customer in CUSTOMERS] == expected
        assert cache(api) == {"hit": len(CUSTOMERS), "miss": len(CUSTOMERS), "off": 0}
    assert [answer["churn_probability"] for answer in expected] == redis_scores


def test_the_cache_is_keyed_by_model(redis_server: Redis, bundles: list[Path], tmp_path: Path) -> None:
    answers = []
    for number, bundle in enumerate(bundles[:2]):
        with Api(tmp_path / str(number), **caching(bundle, redis_server, **PATIENT)) as api:
            answers.append(api.predict(CUSTOMERS[0]))
            assert cache(api) == {"hit": 0, "miss": 1, "off": 0}
    assert answers[0]["churn_probability"] != answers[1]["churn_probability"]
    assert answers[0]["model_version"] != answers[1]["model_version"]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"0.5",
        struct.pack("<f", 0.5),
        *(struct.pack("<d", v) for v in (math.nan, math.inf, 7.0, -0.1)),
        b"x" * 4096,
    ],
    ids=["empty", "text", "float32", "nan", "infinity", "seven", "negative", "long"],
)
def test_a_hostile_value_is_not_served(
    hostile: tuple[Api, redis.Redis], redis_scores: list[float], value: bytes
) -> None:
    api, client = hostile
    api.predict(CUSTOMERS[0])
    (key,) = client.keys("churn-score:*")
    client.set(key, value)
    before = cache(api)
    assert api.predict(CUSTOMERS[0])["churn_probability"] == redis_scores[0]
    after = cache(api)
    assert (after["hit"], after["miss"]) == (before["hit"], before["miss"] + 1)
    assert client.get(key) == struct.pack("<d", redis_scores[0])


@pytest.fixture(scope="module")
def hostile(bundles: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, redis.Redis]]:
    folder = tmp_path_factory.mktemp("hostile")
    with (
        Redis(folder / "redis") as server,
        Api(folder / "api", **caching(bundles[0], server, **PATIENT)) as api,
        redis.Redis.from_url(server.url) as client,
    ):
        yield api, client


def test_a_value_of_another_type_is_not_served(hostile: tuple[Api, redis.Redis], redis_scores: list[float]) -> None:
    api, client = hostile
    api.predict(CUSTOMERS[0])
    (key,) = client.keys("churn-score:*")
    client.delete(key)
    client.rpush(key, "7.0")
    assert api.predict(CUSTOMERS[0])["churn_probability"] == redis_scores[0]


@pytest.mark.parametrize("fault", ["killed", pytest.param("frozen", marks=pytest.mark.long(seconds=12))])
def test_predictions_outlive_redis(
    fault: str, redis_server: Redis, bundles: list[Path], redis_scores: list[float], tmp_path: Path
) -> None:
    with (
        Api(tmp_path / "api", **caching(bundles[0], redis_server, **SOON_AGAIN)) as api,
        Traffic(api.url, CUSTOMERS, rate=100) as traffic,
    ):
        wait_until(lambda: up(api) and cache(api)["hit"] > 0, "Redis is in use")
        redis_server.kill() if fault == "killed" else redis_server.signal(signal.SIGSTOP)
        before = traffic.answered
        wait_until(lambda: not up(api), "the loss is visible")
        wait_until(lambda: traffic.answered > before + 200, "predictions go on")
        assert cache(api)["off"] > 100
        assert alone(api) > 100
        redis_server.start() if fault == "killed" else redis_server.signal(signal.SIGCONT)
        hits = cache(api)["hit"]
        wait_until(lambda: up(api) and cache(api)["hit"] > hits + 100, "Redis is in use again")
    expect_whole_answers(traffic, redis_scores)


def test_an_idle_process_knows_whether_redis_is_there(redis_server: Redis, bundles: list[Path], tmp_path: Path) -> None:
    """No request ever comes: an alert watches this metric, and new pods of a quiet night are idle."""
    with Api(tmp_path / "api", **caching(bundles[0], redis_server, **PATIENT, **SOON_AGAIN)) as api:
        wait_until(lambda: up(api), "Redis is found")
        redis_server.kill()
        wait_until(lambda: not up(api), "the loss is visible")
        redis_server.start()
        wait_until(lambda: up(api), "Redis is found again")


def test_the_calls_of_one_request_share_its_time(redis_server: Redis, bundles: list[Path], tmp_path: Path) -> None:
    """Each of a request's calls would be in time; the second is where the request has waited enough."""
    with DelayingProxy(redis_server.port) as proxy:
        bounds = {"redis_timeout_seconds": 1, **NEVER_AGAIN}
        settings = caching(bundles[0], redis_server, redis_url=f"redis://127.0.0.1:{proxy.port}/0", **bounds)
        with Api(tmp_path / "api", **settings) as api:
            api.predict(CUSTOMERS[0])
            assert (limits(api)["passed"], cache(api)["miss"]) == (1, 1)
            proxy.delay = (0.9, 0.9)
            api.predict(CUSTOMERS[1])
            assert (alone(api), cache(api)["off"]) == (0, 1)
            assert up(api), "one failure does not close the gate"


@SELDOM
def test_answers_stay_whole_when_redis_is_slow_now_and_then(
    redis_server: Redis, bundles: list[Path], redis_scores: list[float], tmp_path: Path
) -> None:
    """A call given up half way must not leave its answer for the next one on the same connection."""
    with DelayingProxy(redis_server.port) as proxy:
        bounds = {"redis_timeout_seconds": 0.1, "redis_retry_seconds": 0.001}
        settings = caching(bundles[0], redis_server, redis_url=f"redis://127.0.0.1:{proxy.port}/0", **bounds)
        with (
            Api(tmp_path / "api", **settings) as api,
            Traffic(api.url, CUSTOMERS, rate=100) as traffic,
        ):
            wait_until(lambda: cache(api)["hit"] > 50, "the cache is warm")
            proxy.delay = (0, 0.06)
            before = cache(api)
            wait_until(
                lambda: cache(api)["off"] > before["off"] + 20 and cache(api)["hit"] > before["hit"] + 20,
                "some calls are given up and some are not",
            )
    expect_whole_answers(traffic, redis_scores)
