"""The kind cluster of `make cluster-up`: the edge on this machine's port 443, and a node of one version."""

from __future__ import annotations

import re

import pytest
import yaml
from support.desk import Desk
from support.paths import ROOT
from support.recorder import STACKS, manifest, settings

from infra.naming import EDGE_NODE_PORT, INGRESS
from ops.errors import OpsError


def nodes() -> list[dict[str, object]]:
    content: list[dict[str, object]] = yaml.safe_load((ROOT / "kind.yaml").read_text())["nodes"]
    return content


def test_kind_maps_https_of_this_machine_alone_to_the_edges_node_port() -> None:
    (node,) = nodes()
    mapping = {"containerPort": EDGE_NODE_PORT, "hostPort": 443, "listenAddress": "127.0.0.1", "protocol": "TCP"}
    assert node["extraPortMappings"] == [mapping]
    assert 30000 <= EDGE_NODE_PORT <= 30085, "Kubernetes gives any other node port to whoever comes first"


@pytest.mark.parametrize("stack", STACKS)
def test_only_a_local_edge_has_a_fixed_node_port(stack: str) -> None:
    ports = manifest(stack, "Service", INGRESS.name, INGRESS.namespace)["spec"]["ports"]
    fixed = {port["name"]: port["nodePort"] for port in ports if port.get("nodePort") is not None}
    assert fixed == ({"https": EDGE_NODE_PORT} if stack == "dev" else {})


def test_the_node_is_pinned_to_the_version_of_the_clusters_on_aws() -> None:
    (node,) = nodes()
    pinned = re.fullmatch(r"kindest/node:v(1\.\d+)\.\d+", str(node["image"]))
    assert pinned is not None
    assert {settings(stack).eks.version for stack in STACKS} == {pinned[1]}


def test_up_creates_the_cluster_that_the_file_describes(desk: Desk) -> None:
    desk.set("CHURN_LOAD", "false")  # ends the command after the cluster is there
    with pytest.raises(OpsError, match=r"^false churn"):
        desk.churn("cluster", "up")
    created = desk.clusters()["churn"]
    assert (created["ports"], created["image"]) == ([443], nodes()[0]["image"])
    assert desk.record()["created"] == created["uid"]


def test_a_port_that_is_taken_ends_the_command_with_the_files_name(desk: Desk) -> None:
    desk.add_cluster("web server", "https://127.0.0.1:1", "none")
    desk.change_cluster("web server", ports=[443], running=False)
    with pytest.raises(OpsError, match=r"port 443 .*kind\.yaml"):
        desk.churn("cluster", "up", "--context", "kind-churn")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("listenAddress", "listenAdress", "field listenAdress not found"),
        ("nodes:", "networking: { podSubnets: 10.0.0.0/16 }\nnodes:", "field podSubnets not found"),
        ("extraPortMappings:", "extraMounts: [{ path: / }]\n    extraPortMappings:", "field path not found"),
        ("kind.x-k8s.io/v1alpha4", "kind.x-k8s.io/v1", "unknown apiVersion: kind.x-k8s.io/v1"),
    ],
)
def test_kind_reads_a_configuration_strictly(desk: Desk, before: str, after: str, message: str) -> None:
    path = desk.root / "kind.yaml"
    path.write_text(path.read_text().replace(before, after))
    refused = desk.run("kind", "create", "cluster", "--config", str(path))
    assert (refused.returncode, message in refused.stderr) == (1, True)
    assert desk.clusters() == {}
