"""Waiting for all rollouts, with a kubectl on PATH that only notes how it is called."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT

from ops.errors import OpsError
from ops.stack import rollouts


def workload(kind: str, name: str, seconds: str = "") -> dict[str, Any]:
    annotations = {"annotations": {rollouts.TIMEOUT: seconds}} if seconds else {}
    return {"kind": kind, "metadata": {"name": name, "namespace": "churn-mlops", **annotations}}


def listing(*items: dict[str, Any]) -> str:
    return f"*get\\ deployments*) printf '%s' '{json.dumps({'items': items})}'"


class Kubectl:
    """A stand-in on PATH; ``answers`` are lines of a shell `case` on all arguments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder / "calls"

    def answers(self, *answers: str) -> None:
        lines = "\n".join(f"  {answer} ;;" for answer in answers)
        script = f'#!/bin/sh\necho "$*" >> {self._log}\ncase "$*" in\n{lines}\nesac\n'
        program = self.folder / "kubectl"
        program.write_text(script)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    @property
    def calls(self) -> list[str]:
        return self._log.read_text().splitlines()


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Kubectl(tmp_path)


def test_each_workload_is_waited_for_as_long_as_pulumi_would(kubectl: Kubectl) -> None:
    kubectl.answers(listing(workload("Deployment", "mlflow", "900"), workload("StatefulSet", "postgres")))
    rollouts.wait(print, "kind-churn")
    got, *waits = kubectl.calls
    assert "--all-namespaces --selector=app.kubernetes.io/part-of=churn" in got
    start = "--context kind-churn --namespace churn-mlops rollout status"
    assert waits == [f"{start} deployment/mlflow --timeout=900s", f"{start} statefulset/postgres --timeout=600s"]


def test_what_is_not_ready_is_named_after_all_were_waited_for(kubectl: Kubectl) -> None:
    listed = listing(workload("Deployment", "mlflow"), workload("Deployment", "api"))
    kubectl.answers(listed, "*/mlflow*) echo 'error: timed out' >&2; exit 1")
    lines: list[str] = []
    with pytest.raises(OpsError, match=r"not every pod is ready: deployment/mlflow in churn-mlops;"):
        rollouts.wait(lines.append)
    assert lines == ["churn-mlops deployment/mlflow: error: timed out"]
    assert "deployment/api" in kubectl.calls[-1]


def test_a_cluster_without_the_platform_is_not_taken_for_a_ready_one(kubectl: Kubectl) -> None:
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
