"""Moves of the alias between versions whose contracts differ, under load: each answer is that of one version, whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.bundles import make_bank_bundle
from support.contracts import small_bank, small_bank_customers, with_feature
from support.moves import check_answers, move_alias
from support.registered import Registered
from support.servers import Api, wait_until
from support.traffic import Traffic

from app.compatibility import compare
from app.contract import Contract
from app.model import load

pytestmark = pytest.mark.service

RATE = 200


def contracts() -> list[Contract]:
    """Three contracts between which clients never notice a change, though each codes the same customer differently."""
    first = small_bank()
    germans = with_feature(first, "geography", blank={"constant": "Germany"})
    backwards = Contract.model_validate(
        germans.model_dump() | {"features": tuple(reversed(germans.features)), "cost": {"offer_cost": 90.0}}
    )
    median = with_feature(backwards, "salary", blank="median")
    return [first, backwards, median]


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Contract, Path]]:
    """A bundle of each contract."""
    folder = tmp_path_factory.mktemp("contracts")
    pairs = [(contract, folder / str(seed)) for seed, contract in enumerate(contracts())]
    for seed, (contract, bundle) in enumerate(pairs):
        make_bank_bundle(bundle, contract, seed)
    return pairs


def customers() -> list[dict[str, Any]]:
    """Customers that each of the contracts accepts, some with blanks."""
    frame = small_bank_customers(500, 11).drop(columns="left")
    return [dict(_plain(row)) for row in frame.to_dict("records")]


def _plain(row: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        yield str(name), None if pd.isna(value) else value


def scores(bundle: Path, rows: list[dict[str, Any]]) -> list[float]:
    """What a version gives the customers by itself."""
    model = load(bundle)
    values: list[float] = model.score(model.coder.many(rows)).tolist()
    return values


@pytest.mark.parametrize("moves", [10, pytest.param(50, marks=pytest.mark.long(seconds=50))])
def test_answers_stay_whole_while_the_contract_changes(
    moves: int, mlflow_server: str, versions: list[tuple[Contract, Path]], tmp_path: Path
) -> None:
    assert {compare(old, new).verdict for old, _ in versions for new, _ in versions if old != new} == {"compatible"}
    rows = customers()
    registered = Registered(mlflow_server, f"contract-moves-{moves}")
    published = [registered.publish(bundle) for _, bundle in versions]
    expected = {v.number: scores(bundle, rows) for v, (_, bundle) in zip(published, versions, strict=True)}
    thresholds = {v.number: load(bundle).manifest.threshold for v, (_, bundle) in zip(published, versions, strict=True)}
    assert all(len(set(column)) == len(versions) for column in zip(*expected.values(), strict=True))
    assert len(set(thresholds.values())) > 1
    narrow = tmp_path / "narrow"
    make_bank_bundle(narrow, with_feature(versions[0][0], "age", maximum=90.0), 9)
    breaking = registered.publish(narrow)

    registered.point(published[0])
    with Api(tmp_path, **registered.settings()) as api, Traffic(api.url, rows, rate=RATE) as traffic:
        outcome = traffic.outcome
        move_alias(registered, published, moves, outcome)
        registered.point(breaking)
        wait_until(lambda: api.ready()["registry"]["refused"], "the breaking version is refused")
        assert "breaks clients of contract small-bank in service: age" in api.ready()["registry"]["refused"]
        swaps = api.model_metrics()["churn_model_swaps_total"]
        etag = api.client.get("/v1/contract").headers["etag"]
    assert swaps == moves + 1
    assert etag == f'"{versions[moves % len(versions)][0].sha256}"'
    check_answers(outcome, expected)
    wrong = [
        (index, answer)
        for index, answer in outcome.answers
        if answer["threshold"] != thresholds[answer["model_version"]] or answer["email"] != rows[index]["email"]
    ]
    assert not wrong
