"""Tests marked `long`: exhaustive sweeps, of which an ordinary run takes a bounded sample or none.

`@pytest.mark.long(seconds=20)` says about how long a test takes on two cores. pytest by itself and `make test-long` run
all of them and `make test` none. Continuous integration runs a sample that fits into LONG_SECONDS, chosen by LONG_SEED:
another seed for each revision, so that each test gets its turn.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping

import pytest

MARK = "long"


def left_out(costs: Mapping[str, float], seconds: float, seed: str) -> set[str]:
    """Choose which of the long tests are not run, so that the others fit into ``seconds``; ``costs`` are theirs."""
    order, names = sorted(costs), set(costs)
    random.Random(seed).shuffle(order)  # noqa: S311 - a sample of tests, not a secret
    for name in order:
        if costs[name] <= seconds:
            seconds -= costs[name]
            names.remove(name)
    return names


def deselect(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take the long tests out of a run that the environment does not ask for."""
    costs = {item.nodeid: float(mark.kwargs["seconds"]) for item in items if (mark := item.get_closest_marker(MARK))}
    names = left_out(costs, float(os.environ.get("LONG_SECONDS", "inf")), os.environ.get("LONG_SEED", ""))
    if names:
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in names])
        items[:] = [item for item in items if item.nodeid not in names]
