"""Strict mutual TLS, open only where clients and Prometheus come in."""

from __future__ import annotations

from typing import Any

import pytest
from support.recorder import STACKS, record_with, recorded

from infra import naming as n
from infra.edges import CLIENTS, Edge
from infra.workloads.mesh import outside_ports


def policies(stack: str) -> dict[tuple[str, str], dict[str, Any]]:
    recording = record_with(stack, namespaces={"mesh": "istio"})
    return {
        (item["metadata"]["namespace"], item["metadata"]["name"]): item["spec"]
        for item in recording.manifests()
        if item["kind"] == "PeerAuthentication"
    }


@pytest.mark.parametrize("stack", STACKS)
def test_off_there_is_nothing_of_it(stack: str) -> None:
    kinds = {item["kind"] for item in recorded(stack).manifests()}
    assert "PeerAuthentication" not in kinds


@pytest.mark.parametrize("stack", STACKS)
def test_every_namespace_is_strict_and_so_is_every_workload_but_for_named_ports(stack: str) -> None:
    specs = policies(stack)
    meshed = set(n.NAMESPACES) - {n.NODES}
    assert {key for key in specs if key[1] == "default"} == {(namespace, "default") for namespace in meshed}
    assert {spec["mtls"]["mode"] for spec in specs.values()} == {"STRICT"}
    assert (n.MLOPS, "postgres") not in specs
    assert specs[n.SERVING, "api"]["portLevelMtls"] == {"8000": {"mode": "PERMISSIVE"}}
    assert specs[n.SERVING, "api"]["selector"] == {"matchLabels": n.API.selector}
    assert set(specs[n.INGRESS_NAMESPACE, "ingress"]["portLevelMtls"]) == {"80", "443", "9113"}
    assert not any(namespace == n.NODES for namespace, _ in specs)


def test_sidecars_reach_their_control_plane_and_nothing_else_new() -> None:
    recording = record_with("dev", namespaces={"mesh": "istio"})
    mesh = [i for i in recording.manifests() if i["kind"] == "NetworkPolicy" and i["metadata"]["name"] == "mesh"]
    assert len(mesh) == len(n.NAMESPACES) - 1
    for item in mesh:
        assert item["spec"]["policyTypes"] == ["Egress"]
        (rule,) = item["spec"]["egress"]
        assert rule["ports"] == [{"port": 15012, "protocol": "TCP"}]
        (peer,) = rule["to"]
        assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "istio-system"}


def test_ports_open_to_the_outside_are_those_of_edges_from_it() -> None:
    edges = [
        Edge(source=CLIENTS, target=n.INGRESS, port=8443),
        Edge(source=n.PROMETHEUS, target=n.INGRESS, port=9113),
        Edge(source=n.INGRESS, target=n.API, port=8000),
        Edge(source=n.API, target=n.CACHE, port=6379),
    ]
    assert outside_ports(n.INGRESS, edges) == [8443, 9113]
    assert outside_ports(n.API, edges) == [8000]
    assert outside_ports(n.CACHE, edges) == []
