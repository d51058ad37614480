"""Network policies match the list of edges, and the list matches the workloads of the stack."""

from __future__ import annotations

from itertools import pairwise

import pytest
from support.recorder import STACKS, children, manifest, recorded, settings

from infra import naming as n
from infra.cloud import CloudOutputs, Database
from infra.edges import INTERNET, PRIVATE, Outside, edges, workloads


@pytest.mark.parametrize("stack", STACKS)
def test_a_default_and_a_name_policy_per_namespace_and_one_policy_per_workload(stack: str) -> None:
    shared = {f"network-{namespace}-{role}" for namespace in n.NAMESPACES for role in ("deny-all", "dns")}
    own = {f"network-{workload.name}" for workload in workloads(settings(stack))}
    assert children(recorded(stack), "network") == {("NetworkPolicy", name) for name in shared | own}


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("namespace", n.NAMESPACES)
def test_by_default_nothing_connects(stack: str, namespace: str) -> None:
    spec = manifest(stack, "NetworkPolicy", "deny-all", namespace)["spec"]
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_edges_to_what_a_stack_does_not_have_are_left_out() -> None:
    cloud = CloudOutputs(secrets={}, database=Database(host="x", cidrs=("10.1.0.0/24",)), region="eu-central-1")
    here = edges(settings("prod"), cloud)
    assert not any(n.POSTGRES in {edge.source, edge.target} for edge in here)
    assert {edge.target.name for edge in here if edge.port == 5432} == {"database"}
    local = edges(settings("dev"), CloudOutputs(secrets={}, database=Database(host="x")))
    assert not any(n.CACHE in {edge.source, edge.target} for edge in local)
    assert {edge.target for edge in local if edge.port == 5432} == {n.POSTGRES}


def test_no_edge_is_listed_twice() -> None:
    for stack in STACKS:
        allowed = edges(settings(stack), CloudOutputs(secrets={}, database=Database(host="x"), region="eu-central-1"))
        assert len(set(allowed)) == len(allowed)


def test_the_internet_is_only_public_addresses() -> None:
    assert INTERNET.without == PRIVATE
    assert "169.254.0.0/16" in PRIVATE
    assert all(first < second for first, second in pairwise(PRIVATE))


def test_only_alertmanager_reaches_the_internet_from_a_local_stack() -> None:
    local = edges(settings("dev"), CloudOutputs(secrets={}, database=Database(host="x")))
    assert {edge.source for edge in local if edge.target == INTERNET} == {n.ALERTMANAGER}
    assert {edge.target.name for edge in local if isinstance(edge.target, Outside)} == {
        "internet",
        "nodes",
        "api-server",
    }


def test_a_policy_names_the_namespace_by_the_label_the_api_server_sets() -> None:
    spec = manifest("dev", "NetworkPolicy", "api")["spec"]
    (from_ingress, *_) = [rule for rule in spec["ingress"] if "ingress" in str(rule["from"])]
    assert from_ingress == {
        "from": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "churn-ingress"}},
                "podSelector": {"matchLabels": n.INGRESS.selector},
            }
        ],
        "ports": [{"port": 8000, "protocol": "TCP"}],
    }


def test_the_api_server_of_each_kind_of_local_cluster_can_be_reached_and_on_aws_only_its_own_ports() -> None:
    """Rules see the API server's own port, not that of its Service: 6443 in kind and k3d, 8443 in minikube."""

    def ports(stack: str, region: str | None) -> dict[str, set[int]]:
        cloud = CloudOutputs(secrets={}, database=Database(host="x"), region=region)
        clients: dict[str, set[int]] = {}
        for edge in edges(settings(stack), cloud):
            if isinstance(edge.source, n.Workload) and edge.target.name == "api-server":
                clients.setdefault(edge.source.name, set()).add(edge.port)
        return clients

    clients = {n.INGRESS.name, n.PROMETHEUS.name, n.KUBE_STATE_METRICS.name}
    assert ports("dev", None) == {client: {443, 6443, 8443} for client in clients}
    assert ports("prod", "eu-central-1") == {client: {443, 6443} for client in clients}
