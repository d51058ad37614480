"""`make cluster-up` and `make cluster-down` as a person runs them: real images, archives and pods.

kind is the strict stand-in over the real cluster, and `pulumi` is the tests' engine. It runs after the stack of the
other tests is gone.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pulumi import automation as auto
from support.desk import Desk
from support.engine.bridge import Bridge
from support.engine.live import LiveCluster
from support.engine.project import Project
from support.kubectl import Kubectl
from support.live_settings import small
from support.paths import ROOT
from support.shims.kind import TOOL

from infra.naming import API, MLFLOW, NAMESPACES, Workload
from ops.errors import OpsError

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(2400),
    pytest.mark.long(seconds=480, together="local commands"),
]
HOW = (
    "set CHURN_LIVE_CLUSTER to the tool of the cluster and CHURN_LIVE_BUILD to a build command of buildah: see .ci/run"
)


@pytest.fixture
def cluster(kubectl: Kubectl, tmp_path: Path) -> Kubectl:
    """The real cluster, wherever the kubeconfig of the desk points."""
    program = tmp_path / "kubectl-of-the-test"
    kubeconfig, real = shlex.quote(os.environ["KUBECONFIG"]), shlex.quote(kubectl.program)
    program.write_text(f'#!/bin/sh\nKUBECONFIG={kubeconfig} exec {real} "$@"\n')
    program.chmod(0o755)
    return Kubectl(str(program))


@pytest.fixture
def desk(
    kubectl: Kubectl, cluster: Kubectl, command: auto.PulumiCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    tool, build = os.environ.get("CHURN_LIVE_CLUSTER"), os.environ.get("CHURN_LIVE_BUILD")
    if not (tool and build):
        pytest.skip(f"there is no tool that loads images: {HOW}")
    left = {item["metadata"]["name"] for item in cluster.get("namespaces")} & set(NAMESPACES)
    assert left == set(), "the stack of the other tests is still there"
    real = Path(os.environ["KUBECONFIG"])
    desk = Desk(tmp_path, monkeypatch, "kind")
    desk.set("PATH", f"{desk.bin}:{os.environ['PATH']}:{Path(kubectl.program).parent}")
    desk.set("CHURN_BUILD", build)
    desk.set(TOOL, tool)
    for package in ("app", "ops", "training"):
        shutil.rmtree(desk.root / package)
        shutil.copytree(ROOT / package, desk.root / package, ignore=shutil.ignore_patterns("__pycache__"))
    settings = desk.root / "Pulumi.dev.yaml"
    content = yaml.safe_load(settings.read_text())
    small(content["config"])
    settings.write_text(yaml.safe_dump(content))
    provider = LiveCluster(real, tmp_path)
    project = Project("dev", command=command, folder=tmp_path / "stack", cluster=provider)
    with project.open(Path(os.environ["KUBECONFIG"])) as opened, Bridge(opened, tmp_path).on_path(desk.bin):
        yield desk
    provider.close()


def images(cluster: Kubectl, workload: Workload) -> set[str]:
    """The images of the pods that run, which the nodes can only have from an archive."""
    return {
        container["image"]
        for pod in cluster.get("pods", namespace=workload.namespace)
        if pod["metadata"]["labels"].get("app.kubernetes.io/name") == workload.name
        and pod["status"]["phase"] == "Running"
        and "deletionTimestamp" not in pod["metadata"]
        for container in pod["spec"]["containers"]
    }


def test_up_runs_what_was_built_a_second_up_the_new_code_and_down_removes_it(desk: Desk, cluster: Kubectl) -> None:
    desk.churn("cluster", "up")
    first = desk.settings("churn:images")["tag"]
    assert images(cluster, API) == {f"churn.invalid/api:{first}"}
    assert images(cluster, MLFLOW) == {f"churn.invalid/mlflow:{first}"}

    changed = desk.root / "app" / "__init__.py"
    changed.write_text(changed.read_text() + "# changed\n")
    desk.churn("cluster", "up")
    second = desk.settings("churn:images")["tag"]
    assert second != first
    assert images(cluster, API) == {f"churn.invalid/api:{second}"}

    desk.add_cluster("prod", "https://203.0.113.7:6443", "prod", objects="what customers use")
    with pytest.raises(OpsError, match="in the cluster of context 'kind-churn', but kubectl's context is 'prod'"):
        desk.churn("cluster", "down")
    assert images(cluster, API) == {f"churn.invalid/api:{second}"}

    desk.churn("cluster", "down", "--context", "kind-churn")
    names = {item["metadata"]["name"] for item in cluster.get("namespaces")}
    assert names.isdisjoint(NAMESPACES)
    assert desk.settings("churn:cluster")["context"] == ""
    assert set(desk.clusters()) == {"prod"}
