"""Tests marked `long`: exhaustive sweeps, of which an ordinary run takes a bounded sample or none.

`@pytest.mark.long(seconds=20)` says about how long a test takes on two cores. pytest by itself and `make test-long` run
all of them and `make test` none. Continuous integration runs a sample that fits into LONG_SECONDS, chosen by LONG_SEED:
another seed for each revision, so that each test gets its turn. Tests that need each other name a group,
`long(seconds=300, together="upgrade")`, with the seconds of all of them: a run has all of a group or none.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping

import pytest

MARK = "long"


def left_out(costs: Mapping[str, float], seconds: float, seed: str) -> set[str]:
    """Choose which long tests or groups are not run, so that the others fit into ``seconds``; ``costs`` are theirs."""
    order, names = sorted(costs), set(costs)
    random.Random(seed).shuffle(order)  # noqa: S311 - a sample of tests, not a secret
    for name in order:
        if costs[name] <= seconds:
            seconds -= costs[name]
            names.remove(name)
    return names


def deselect(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take the long tests out of a run that the environment does not ask for."""
    marks = {item: mark.kwargs for item in items if (mark := item.get_closest_marker(MARK))}
    groups = {item: str(kwargs.get("together", item.nodeid)) for item, kwargs in marks.items()}
    costs = {groups[item]: float(kwargs["seconds"]) for item, kwargs in marks.items()}
    names = left_out(costs, float(os.environ.get("LONG_SECONDS", "inf")), os.environ.get("LONG_SEED", ""))
    if names:
        config.hook.pytest_deselected(items=[item for item in items if groups.get(item) in names])
        items[:] = [item for item in items if groups.get(item) not in names]
