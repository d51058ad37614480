"""The `dev` stack on a real cluster, where its containers run.

Program and engine are real; the Kubernetes provider is a stand-in that goes through the API server and waits as the
real one does. Images that cannot be pulled are built from `images/`, each of which says what it contains. The stack
comes up once, tests change it in the order of their files, and the last of them destroys it.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pulumi import automation as auto
from support.engine.live import LiveCluster
from support.engine.project import Project
from support.kubectl import Kubectl
from support.live import CLUSTER_WIDE, Live
from support.live_settings import small
from support.servers import require_tool
from support.tools import missing

from infra.naming import NAMESPACES
from ops.stack import rollouts

HOW = "set CHURN_LIVE=yes and KUBECONFIG to a throw-away cluster that has the images: see CONTRIBUTING.md"


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """The cluster of KUBECONFIG, which must have nothing of the platform."""
    if os.environ.get("CHURN_LIVE") != "yes" or not os.environ.get("KUBECONFIG"):
        pytest.skip(f"there is no live cluster: {HOW}")
    client = Kubectl(require_tool("kubectl"))
    answer = client.attempt("get", "namespaces", "--output", "json", "--request-timeout=10s")
    if not answer.ok:
        missing(f"the cluster of KUBECONFIG does not answer: {answer.err.strip().splitlines()[-1]}")
    left = sorted({item["metadata"]["name"] for item in answer.items()} & set(NAMESPACES))
    if left:
        pytest.fail(f"the cluster already has {left}, which may be in use: delete them, or use another cluster")
    return client


@pytest.fixture(scope="session")
def live(kubectl: Kubectl, command: auto.PulumiCommand, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The stack after its first `up`, and how long that took from the empty cluster."""
    folder = tmp_path_factory.mktemp("live")
    kubeconfig = Path(os.environ["KUBECONFIG"])
    # No local tool made this cluster, so the stack takes it only by its name.
    context = yaml.safe_load(kubeconfig.read_text())["current-context"]
    cluster = LiveCluster(kubeconfig, folder)
    project = Project("dev", command=command, folder=folder / "stack", cluster=cluster)
    with project.open(kubeconfig) as opened:
        opened.cli("stack", "init")
        opened.configure(small)
        opened.configure(lambda config: config["churn:cluster"].update(context=context))
        started = time.monotonic()
        outcome = opened.run("up")
        stack = Live(
            project=opened, kubectl=kubectl, first_up=outcome, seconds=time.monotonic() - started, folder=folder
        )
        try:
            if not outcome.succeeded:
                pytest.fail(f"the stack did not come up: {outcome.errors} {outcome.failure}\n{outcome.printed[-3000:]}")
            rollouts.wait(print)
            stack.seconds = time.monotonic() - started
            yield stack
        finally:
            stack.close()
            _remove(kubectl)
    cluster.close()


def _remove(kubectl: Kubectl) -> None:
    """Remove what failed tests left behind; after a good run there is nothing."""
    subprocess.run(
        [kubectl.program, "delete", "namespace", *NAMESPACES, "--ignore-not-found", "--timeout=120s"],
        capture_output=True,
        check=False,
    )
    for kind in CLUSTER_WIDE:
        subprocess.run(
            [kubectl.program, "delete", kind, "--selector=app.kubernetes.io/part-of=churn", "--ignore-not-found"],
            capture_output=True,
            check=False,
        )
