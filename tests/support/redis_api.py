"""An API with Redis: its settings, and what its metrics say of limits and cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.bundles import random_customers
from support.servers import Api, Redis
from support.traffic import Traffic

CUSTOMERS = random_customers(200, seed=14)
PATIENT = {"redis_timeout_seconds": 1}
"""For tests of what Redis is for: there a busy machine must not look like a slow Redis."""
NEVER_AGAIN: dict[str, Any] = {"redis_retry_seconds": 3600}
SOON_AGAIN = {"redis_retry_seconds": 0.05}


def caching(bundle: Path, server: Redis, **others: Any) -> dict[str, Any]:
    return {"model_source": bundle, "redis_url": server.url, "prediction_cache": True} | others


def outcomes(api: Api, counter: str) -> dict[str, float]:
    metrics = api.metrics()
    names = {"churn_prediction_cache": ("hit", "miss", "off"), "churn_rate_limit": ("passed", "refused")}
    return {outcome: metrics[f'{counter}_total{{outcome="{outcome}"}}'] for outcome in names[counter]}


def cache(api: Api) -> dict[str, float]:
    return outcomes(api, "churn_prediction_cache")


def limits(api: Api) -> dict[str, float]:
    return outcomes(api, "churn_rate_limit")


def alone(api: Api) -> float:
    """How many requests were counted by this process alone."""
    return api.metrics()["churn_rate_limit_alone_total"]


def expect_whole_answers(traffic: Traffic, scores: list[float]) -> None:
    assert not traffic.outcome.failures
    assert traffic.outcome.not_sent == 0
    assert all(answer["churn_probability"] == scores[index] for index, answer in traffic.outcome.answers)


def up(api: Api) -> bool:
    return api.metrics()["churn_redis_up"] == 1
