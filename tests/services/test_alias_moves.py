from __future__ import annotations

from pathlib import Path

import pytest
from support.bundles import random_customers
from support.moves import check_answers, move_alias
from support.registered import Registered
from support.servers import Api
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
        move_alias(registered, versions, moves, outcome)
        swaps = api.model_metrics()["churn_model_swaps_total"]
    assert swaps == moves + 1
    check_answers(outcome, expected)
