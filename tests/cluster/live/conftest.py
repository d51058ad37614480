"""The `dev` stack on a real cluster: containers run, and what they do is looked at.

The real program and the real engine; the Kubernetes provider is a stand-in that goes through the API server and waits
as the real one does. Images that cannot be pulled here are made from `images/`, each of which says what it is. The
stack comes up once, tests change it in the order of their files, and the last of them destroys it.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi import automation as auto
from support.engine.live import LiveCluster
from support.engine.project import Project
from support.kubectl import Kubectl
from support.live import CLUSTER_WIDE, Live
from support.live_settings import small
from support.servers import require_tool
from support.tools import missing

from infra.naming import NAMESPACES

HOW = "set CHURN_LIVE=yes and KUBECONFIG to a throw-away cluster that has the images: see CONTRIBUTING.md"


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """The cluster of KUBECONFIG, in which nothing of the platform is left."""
    if os.environ.get("CHURN_LIVE") != "yes" or not os.environ.get("KUBECONFIG"):
        pytest.skip(f"there is no live cluster: {HOW}")
    found = Kubectl(require_tool("kubectl"))
    answer = found.attempt("get", "namespaces", "--output", "json", "--request-timeout=10s")
    if not answer.ok:
        missing(f"the cluster of KUBECONFIG does not answer: {answer.err.strip().splitlines()[-1]}")
    left = sorted({item["metadata"]["name"] for item in answer.items()} & set(NAMESPACES))
    if left:
        pytest.fail(f"the cluster has {left} already, which may be somebody's: delete them, or take another cluster")
    return found


@pytest.fixture(scope="session")
def live(kubectl: Kubectl, command: auto.PulumiCommand, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The stack after its first `up`, and how long that took from the empty cluster."""
    folder = tmp_path_factory.mktemp("live")
    kubeconfig = Path(os.environ["KUBECONFIG"])
    cluster = LiveCluster(kubeconfig, folder)
    project = Project("dev", command=command, folder=folder / "stack", cluster=cluster)
    with project.open(kubeconfig) as opened:
        opened.cli("stack", "init")
        opened.configure(small)
        started = time.monotonic()
        made = opened.run("up")
        found = Live(project=opened, kubectl=kubectl, made=made, seconds=time.monotonic() - started, folder=folder)
        try:
            if not made.succeeded:
                pytest.fail(f"the stack did not come up: {made.errors} {made.failure}\n{made.printed[-3000:]}")
            yield found
        finally:
            found.close()
            _remove(kubectl)
    cluster.close()


def _remove(kubectl: Kubectl) -> None:
    """What a failed test has left; after a good run there is nothing."""
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
