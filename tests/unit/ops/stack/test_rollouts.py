"""Waiting for all rollouts, with a kubectl on PATH that answers as each test says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT
from support.scripts import Scripted

from ops.errors import OpsError
from ops.stack import rollouts


def workload(kind: str, name: str, seconds: str = "") -> dict[str, Any]:
    annotations = {"annotations": {rollouts.TIMEOUT: seconds}} if seconds else {}
    return {"kind": kind, "metadata": {"name": name, "namespace": "churn-mlops", **annotations}}


def listing(*items: dict[str, Any]) -> str:
    return f"*get\\ deployments*) printf '%s' '{json.dumps({'items': items})}'"


READY = "*rollout\\ status*) echo rolled out"
"""The answer about a workload that is ready."""


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Scripted(tmp_path, "kubectl")


def test_each_workload_is_waited_for_as_long_as_pulumi_would(kubectl: Scripted) -> None:
    kubectl.answers(listing(workload("Deployment", "mlflow", "900"), workload("StatefulSet", "postgres")), READY)
    rollouts.wait(print, "kind-churn")
    got, *waits = kubectl.calls
    assert "--all-namespaces --selector=app.kubernetes.io/part-of=churn" in got
    start = "--context kind-churn --namespace churn-mlops rollout status"
    assert waits == [f"{start} deployment/mlflow --timeout=900s", f"{start} statefulset/postgres --timeout=600s"]


def test_what_is_not_ready_is_named_after_all_were_waited_for(kubectl: Scripted) -> None:
    listed = listing(workload("Deployment", "mlflow"), workload("Deployment", "api"))
    kubectl.answers(listed, "*/mlflow*) echo 'error: timed out' >&2; exit 1", READY)
    lines: list[str] = []
    with pytest.raises(OpsError, match=r"not every pod is ready: deployment/mlflow in churn-mlops;"):
        rollouts.wait(lines.append)
    assert lines == ["churn-mlops deployment/mlflow: error: timed out"]
    assert "deployment/api" in kubectl.calls[-1]


def test_a_cluster_without_the_platform_is_not_taken_for_a_ready_one(kubectl: Scripted) -> None:
    kubectl.answers(listing())
    with pytest.raises(OpsError, match="no workload of the platform"):
        rollouts.wait(print)
    kubectl.answers("*) echo 'no route to host' >&2; exit 1")
    with pytest.raises(OpsError, match="kubectl get failed: no route to host"):
        rollouts.wait(print)


def test_the_pipeline_waits_after_each_up() -> None:
    """So that it is not green while a Deployment is down that Pulumi takes for finished."""
    workflow = (ROOT / ".github" / "workflows" / "deploy.yml").read_text("utf-8")
    for job in workflow.partition("\n  staging:\n")[2].split("\n  prod:\n"):
        assert 0 < job.index("command: up") < job.index("churn cluster wait")
