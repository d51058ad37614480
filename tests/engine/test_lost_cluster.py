"""`churn cluster up` with the real engine: into a new cluster, then after that cluster was deleted and made again.

The engine believes its state, so it finds nothing to do in an empty cluster, until a refresh takes out what is gone.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from pulumi import automation as auto
from support.desk import Desk
from support.engine.bridge import Bridge
from support.engine.cluster import MemoryCluster
from support.engine.project import Project

pytestmark = [
    pytest.mark.service,
    pytest.mark.timeout(900, func_only=True),
    pytest.mark.long(seconds=60, together=__name__),
]


def test_a_second_up_fills_a_cluster_that_was_made_again(
    command: auto.PulumiCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path, monkeypatch, "kind", "kubectl", "docker")
    lost, new = MemoryCluster(), MemoryCluster()
    project = Project("dev", command=command, folder=tmp_path / "stack", cluster=lost)

    def show() -> None:
        """Let the stand-in for kubectl find what the engine has created."""
        desk.change_cluster("churn", objects=sorted(f"{key.kind} {key.name}" for key in project.cluster.objects))

    bridge = Bridge(project, tmp_path, changed=show)
    with project.open(Path(os.environ["KUBECONFIG"])), bridge.on_path(desk.bin):
        desk.churn("cluster", "up")
        tag = desk.settings("churn:images")["tag"]
        templates = [item["spec"]["template"]["spec"] for item in lost.objects.values() if item["kind"] == "Deployment"]
        assert f"churn.invalid/api:{tag}" in {spec["containers"][0]["image"] for spec in templates}

        desk.run("kind", "delete", "cluster", "--name", "churn")
        desk.run("kind", "create", "cluster", "--name", "churn")
        project.cluster = project.kubernetes.cluster = new
        deceived = project.run("up")
        assert (deceived.succeeded, deceived.changes, new.objects) == (True, [], {})

        assert "This is another cluster" in desk.churn("cluster", "up")
        filled = bridge.outcomes[-1]
    assert {step.operation for step in filled.changes} == {"create"}
    assert Counter(key.kind for key in new.objects) == Counter(key.kind for key in lost.objects)
