"""What holds when Redis is slow, gone or read-only, and when the process itself is stopped now and then."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

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

from app.redis_gate import FAILURES_IN_A_ROW

pytestmark = pytest.mark.service
SELDOM = pytest.mark.long(seconds=12, together=__name__)


@pytest.mark.parametrize("fault", ["slow", "frozen"])
def test_a_slow_redis_is_asked_a_few_times_and_then_left_alone(
    fault: str, redis_server: Redis, bundles: list[Path], redis_scores: list[float], tmp_path: Path
) -> None:
    with DelayingProxy(redis_server.port) as proxy:
        settings = caching(bundles[0], redis_server, redis_url=f"redis://127.0.0.1:{proxy.port}/0", **NEVER_AGAIN)
        with Api(tmp_path / "api", **settings) as api:
            wait_until(lambda: up(api), "Redis is found")
            if fault == "slow":
                proxy.delay = (30, 30)
            else:
                redis_server.signal(signal.SIGSTOP)
            for _ in range(FAILURES_IN_A_ROW):
                assert up(api)
                api.predict(CUSTOMERS[0])
            assert not up(api)
            asked = proxy.requests
            answers = [api.client.post("/v1/predict", json=customer) for customer in CUSTOMERS]
            assert [answer.json()["churn_probability"] for answer in answers] == redis_scores
            assert proxy.requests == asked, "a closed gate asks nothing"
            assert alone(api) == cache(api)["off"] == FAILURES_IN_A_ROW + len(CUSTOMERS)
            assert cache(api)["hit"] == cache(api)["miss"] == 0


def few_a_day(folder: Path) -> dict[str, Any]:
    """Settings with one key, which may send three requests a day, and the key."""
    keys = write_keys(folder / "keys.json", {"few": ["predict"]}, rates={"few": "3/day"})
    return {"auth": "required", "api_keys_file": folder / "keys.json", "key": keys["few"]}


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_the_rate_of_a_key_holds_without_redis(
    fault: str, redis_server: Redis, bundles: list[Path], tmp_path: Path
) -> None:
    """Each process then counts alone, from zero: never without a limit."""
    settings = caching(bundles[0], redis_server, **few_a_day(tmp_path), **NEVER_AGAIN)
    with Api(tmp_path / "api", **settings) as api:
        wait_until(lambda: up(api), "Redis is found")
        redis_server.kill() if fault == "killed" else redis_server.signal(signal.SIGSTOP)
        answers = [api.client.post("/v1/predict", json=CUSTOMERS[0]) for _ in range(10)]
        assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 7
        assert all(int(answer.headers["retry-after"]) > 1 for answer in answers[3:])
        assert limits(api) == {"passed": 3, "refused": 7}
        assert alone(api) == 10


@SELDOM
def test_a_primary_that_was_failed_over_counts_as_down(
    redis_server: Redis, bundles: list[Path], redis_scores: list[float], tmp_path: Path
) -> None:
    """It answers PING and reads, and keeps the connections that it has, but refuses writes (redis-py 460)."""
    with (
        Redis(tmp_path / "new") as new,
        DelayingProxy(redis_server.port) as proxy,
        redis.Redis.from_url(redis_server.url) as old,
    ):
        url = f"redis://127.0.0.1:{proxy.port}/0"
        settings = caching(bundles[0], redis_server, redis_url=url, **few_a_day(tmp_path), **PATIENT, **SOON_AGAIN)
        with Api(tmp_path / "api", **settings) as api:
            wait_until(lambda: up(api), "Redis is found")
            assert api.predict(CUSTOMERS[0])["churn_probability"] == redis_scores[0]
            assert (up(api), alone(api)) == (True, 0)
            old.replicaof("127.0.0.1", str(new.port))
            assert api.predict(CUSTOMERS[0])["churn_probability"] == redis_scores[0]
            assert alone(api) == 1
            wait_until(lambda: not up(api), "the loss is visible")
            assert old.ping()
            answers = [api.client.post("/v1/predict", json=CUSTOMERS[0]) for _ in range(4)]
            assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
            proxy.target_port = new.port  # the name now means the new primary
            wait_until(lambda: up(api), "the new primary is in use")
            counted = alone(api)
            answers = [api.client.post("/v1/predict", json=CUSTOMERS[0]) for _ in range(4)]
            assert [answer.status_code for answer in answers] == [200] * 3 + [429], "counted anew, and together"
            assert alone(api) == counted


@SELDOM
def test_a_process_that_is_stopped_now_and_then_keeps_redis(
    redis_server: Redis, bundles: list[Path], redis_scores: list[float], tmp_path: Path
) -> None:
    """What a pod at its CPU limit goes through many times a second; here always while calls wait for their answers."""
    with DelayingProxy(redis_server.port) as proxy:
        proxy.delay = (0.02, 0.02)
        url = f"redis://127.0.0.1:{proxy.port}/0"
        settings = caching(bundles[0], redis_server, redis_url=url, prediction_cache=False, **PATIENT, **NEVER_AGAIN)
        with Api(tmp_path / "api", **settings) as api, Traffic(api.url, CUSTOMERS, rate=50) as traffic:
            wait_until(lambda: traffic.answered > 50, "the connections are there")
            for _ in range(2):
                expected = traffic.answered + 50
                api.signal(signal.SIGSTOP)
                time.sleep(1.5)
                api.signal(signal.SIGCONT)
                wait_until(lambda n=expected: traffic.answered > n, "the process has caught up")  # type: ignore[misc]
            assert up(api)
            assert alone(api) == 0
    expect_whole_answers(traffic, redis_scores)
