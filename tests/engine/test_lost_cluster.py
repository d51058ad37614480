"""A state that outlives its cluster: the engine believes it, until a refresh takes out what is gone."""

from __future__ import annotations

from collections import Counter

import pytest
from support.engine.cluster import MemoryCluster
from support.engine.project import Project

pytestmark = [pytest.mark.service, pytest.mark.timeout(600, func_only=True)]


def test_a_refresh_makes_up_fill_a_new_cluster(project: Project) -> None:
    """The steps of `churn cluster up` when it finds another cluster than that of the state."""
    project.cli("stack", "init")
    first = project.run("up")
    assert first.succeeded, first.printed
    kinds = Counter(key.kind for key in project.cluster.objects)
    empty = MemoryCluster()
    project.cluster = project.kubernetes.cluster = empty
    deceived = project.run("up")
    assert deceived.succeeded, deceived.printed
    assert (deceived.changes, empty.objects) == ([], {})

    project.cli("refresh", "--yes", "--clear-pending-creates")
    filled = project.run("up")
    assert filled.succeeded, filled.printed
    assert {step.operation for step in filled.changes} == {"create"}
    assert Counter(key.kind for key in empty.objects) == kinds
