from __future__ import annotations

from pathlib import Path

import pytest
from support.bundles import random_customers
from support.registered import Registered
from support.servers import Api, wait_until
from support.telco import encode
from support.traffic import Traffic

from app.model import load

pytestmark = pytest.mark.service

RATE = 200
CUSTOMERS = random_customers(500, seed=11)


@pytest.mark.parametrize("moves", [10, pytest.param(50, marks=pytest.mark.long(seconds=30))])
def test_answers_stay_whole_while_the_alias_moves(
    moves: int, mlflow_server: str, bundles: list[Path], tmp_path: Path
) -> None:
    registered = Registered(mlflow_server, f"moves-{moves}")
    versions = [registered.publish(bundle) for bundle in bundles]
    expected = {
        version.number: load(bundle).score(encode(CUSTOMERS)).tolist()
        for version, bundle in zip(versions, bundles, strict=True)
    }
    assert len({tuple(scores) for scores in expected.values()}) == len(bundles)
    registered.point(versions[0])
    with Api(tmp_path, **registered.settings()) as api, Traffic(api.url, CUSTOMERS, rate=RATE) as traffic:
        outcome = traffic.outcome
        for move in range(1, moves + 1):
            version = versions[move % len(versions)]
            registered.point(version)
            wait_until(
                lambda expected=version.number: outcome.answers and outcome.answers[-1][1]["model_version"] == expected,  # type: ignore[misc]  # mypy cannot type a lambda's default
                f"an answer of version {version.number}",
            )
        swaps = api.model_metrics()["churn_model_swaps_total"]
    assert swaps == moves + 1
    assert not outcome.failures
    assert outcome.not_sent == 0
    assert set(outcome.versions) == set(expected)
    wrong = [
        (index, answer)
        for index, answer in outcome.answers
        if answer["churn_probability"] != expected[answer["model_version"]][index]
    ]
    assert not wrong
