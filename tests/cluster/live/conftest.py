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
from support.engine.bring_up import Typist, dev_commands
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
    """The stack after the commands of docs/platform.md, and how long they took from the empty cluster.

    What differs from a user's stack are the sizes and the cluster's name, set right after `pulumi stack init`.
    """
    folder = tmp_path_factory.mktemp("live")
    kubeconfig = Path(os.environ["KUBECONFIG"])
    cluster = LiveCluster(kubeconfig, folder)
    project = Project("dev", command=command, folder=folder / "stack", cluster=cluster)
    with project.open(kubeconfig) as opened:
        stack = Live(project=opened, kubectl=kubectl, folder=folder)
        try:
            _bring_up(stack)
            yield stack
        finally:
            stack.close()
            _remove(kubectl)
    cluster.close()


def _bring_up(stack: Live) -> None:
    """Type what docs/platform.md tells people to type who bring the stack up by hand."""

    def other(words: list[str]) -> None:
        match words:
            case [".venv/bin/churn", "cluster", "wait"]:
                rollouts.wait(print)
            case ["make", "infra" | "images"] | ["export", *_] | ["mkdir", *_]:
                pass  # the project has a state, a passphrase, the program's packages and its images
            case _:
                pytest.fail(f"docs/platform.md has a command that these tests do not know: {words}")

    # No local tool made this cluster, so the stack takes it only by its name.
    context = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())["current-context"]
    typist = Typist(stack.project, other)
    started = time.monotonic()
    for line in dev_commands():
        typist.type(line)
        stack.typed.append(line.partition("#")[0].strip())
        if line.startswith("pulumi stack init"):
            stack.project.configure(small)
            stack.project.configure(lambda config: config["churn:cluster"].update(context=context))
            started = time.monotonic()
    stack.seconds = time.monotonic() - started


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
