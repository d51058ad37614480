"""A deployment's session outlives the longest `up`, even if AWS takes as long for each step as a provider waits."""

from __future__ import annotations

import pytest
from support.eks_recordings import RECORDINGS
from support.waiting import MINUTES, longest

from ops.stack.bootstrap import SESSION_HOURS


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_session_outlives_the_longest_up(name: str) -> None:
    total, names = longest(RECORDINGS[name]())
    assert total <= SESSION_HOURS * 60, f"{total} minutes: {' > '.join(names)}"


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_default_session_of_an_hour_does_not(name: str) -> None:
    """The measure can fail: cluster and database alone, with what waits for them, take longer than AWS' default."""
    total, names = longest(RECORDINGS[name]())
    assert total > 60
    assert "compute-cluster-eks-eksCluster" in names
    assert total > MINUTES["aws:eks/cluster:Cluster"] + MINUTES["aws:eks/addon:Addon"]
