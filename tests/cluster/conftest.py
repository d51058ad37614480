"""A Kubernetes API server with simulated nodes.

The tests create and delete namespaces, and label, taint and cordon nodes. So they run only where kwok plays every
node: nobody's workloads are there.
"""

from __future__ import annotations

import os

import pytest
from support.kubectl import Kubectl
from support.servers import require_tool
from support.tools import missing

from infra.kit.pod import ZONE
from infra.naming import NAMESPACES

HOW = "set KUBECONFIG to that of a throw-away cluster with nodes in three zones, all played by kwok"


@pytest.fixture(scope="session")
def cluster() -> Kubectl:
    """The cluster of KUBECONFIG; without one the tests are skipped, even where CI=true: no package installs one."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip(f"there is no cluster: {HOW}")
    kubectl = Kubectl(require_tool("kubectl"))
    answer = kubectl.attempt("get", "nodes", "--output", "json", "--request-timeout=10s")
    if not answer.ok:
        missing(f"the cluster of KUBECONFIG does not answer: {answer.err.strip().splitlines()[-1]}")
    nodes = answer.items()
    real = [node["metadata"]["name"] for node in nodes if "kwok" not in node["status"]["nodeInfo"]["kubeletVersion"]]
    zones = {node["metadata"]["labels"].get(ZONE) for node in nodes} - {None}
    if real or len(zones) != 3:
        missing(f"the cluster of KUBECONFIG has {len(zones)} zones and these real nodes: {real}; {HOW}")
    # Remove what a killed run left behind.
    kubectl.run("uncordon", *(node["metadata"]["name"] for node in nodes))
    kubectl.attempt("taint", "nodes", "--all", "node.kubernetes.io/out-of-service-")
    kubectl.delete([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES])
    return kubectl
