from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bundles import random_customers
from support.telco import encode

from app.batcher import Batcher
from app.model import Model, load

pytestmark = pytest.mark.anyio

_ROWS = encode(random_customers(200, seed=4))


@pytest.fixture(scope="module")
def model(bundle: Path) -> Model:
    return load(bundle)


@pytest.fixture(scope="module")
def other(other_bundle: Path) -> Model:
    return load(other_bundle)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of every call of a model."""
    sizes: list[int] = []
    real = Model.score

    def score(self: Model, features: Any) -> Any:
        sizes.append(len(features))
        return real(self, features)

    monkeypatch.setattr(Model, "score", score)
    return sizes


def _row(i: int) -> Sequence[float]:
    return [float(v) for v in _ROWS[i]]


async def test_each_of_many_callers_gets_its_own_score(model: Model, calls: list[int]) -> None:
    batcher = Batcher()
    scores = await asyncio.gather(*(batcher.score(model, _row(i)) for i in range(200)))
    assert calls == [200]
    assert scores == model.score(_ROWS).tolist()


async def test_a_single_caller_does_not_wait_for_others(model: Model, calls: list[int]) -> None:
    batcher = Batcher()
    for i in range(3):
        assert await batcher.score(model, _row(i)) == model.score(_ROWS[i : i + 1])[0]
    assert calls == [1] * 6


async def test_callers_before_and_after_a_swap_each_get_the_model_they_read(
    model: Model, other: Model, calls: list[int]
) -> None:
    batcher = Batcher()
    models = [model] * 5 + [other] * 4 + [model] * 3
    scores = await asyncio.gather(*(batcher.score(m, _row(i)) for i, m in enumerate(models)))
    assert calls == [5, 4, 3]
    assert scores == [m.score(_ROWS[i : i + 1])[0] for i, m in enumerate(models)]
    assert model.score(_ROWS[:1])[0] != other.score(_ROWS[:1])[0]


async def test_a_failure_reaches_every_caller_and_no_later_one(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    batcher = Batcher()

    def fail(*_: object) -> None:
        raise ValueError("the graph failed")

    with monkeypatch.context() as patch:
        patch.setattr(Model, "score", fail)
        results = await asyncio.gather(*(batcher.score(model, _row(i)) for i in range(5)), return_exceptions=True)
    assert [str(r) for r in results] == ["the graph failed"] * 5
    assert await batcher.score(model, _row(0)) == model.score(_ROWS[:1])[0]


@pytest.mark.parametrize("failing", [False, True])
async def test_a_caller_that_left_does_not_affect_the_others(
    model: Model, monkeypatch: pytest.MonkeyPatch, *, failing: bool
) -> None:
    batcher = Batcher()
    tasks = [asyncio.create_task(batcher.score(model, _row(i))) for i in range(4)]
    if failing:
        monkeypatch.setattr(Model, "score", lambda *_: np.zeros(0)[1])
    # Runs after the callers have queued and before the batch is scored.
    asyncio.get_running_loop().call_soon(tasks[1].cancel)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[1], asyncio.CancelledError)
    others = [results[i] for i in (0, 2, 3)]
    if failing:
        assert all(isinstance(r, IndexError) for r in others)
    else:
        assert others == [model.score(_ROWS[i : i + 1])[0] for i in (0, 2, 3)]


async def test_rows_are_scored_in_the_precision_of_the_model(model: Model) -> None:
    exact = [0.1 + v for v in _row(0)]
    expected = model.score(np.array([exact], dtype=np.float32))[0]
    assert await Batcher().score(model, exact) == expected
