"""A destroyed stack leaves nothing behind."""

from __future__ import annotations

import time

import pytest
from support.engine.cluster import Key
from support.live import CLUSTER_WIDE, Live
from support.servers import wait_until

from infra.naming import NAMESPACES, PART_OF, PROJECT

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]


def test_destroy_leaves_nothing(live: Live) -> None:
    started = time.monotonic()
    outcome = live.project.run("destroy")
    live.figures["destroy, s"] = round(time.monotonic() - started)
    assert outcome.succeeded, f"{outcome.errors}\n{outcome.printed[-2000:]}"
    names = {item["metadata"]["name"] for item in live.kubectl.get("namespaces")}
    assert names.isdisjoint(NAMESPACES)
    ours = f"--selector={PART_OF}={PROJECT}"
    left = live.kubectl.run("get", ",".join(CLUSTER_WIDE), ours, "--output=json")
    assert [str(Key.of(item)) for item in left.items()] == []

    def claims() -> set[str]:
        return {item["spec"].get("claimRef", {}).get("namespace", "") for item in live.kubectl.get("persistentvolumes")}

    wait_until(lambda: claims().isdisjoint(NAMESPACES), "the volumes are gone", 60)
    for name, figure in live.figures.items():
        print(f"{name}: {figure}")  # noqa: T201 -- figures for the reader of the run
