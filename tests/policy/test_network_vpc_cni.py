"""On EKS, pods reach exactly the Services that the list of edges says, where the agent sees the Service's own address.

The other table, of pods behind Services, is in `test_network_truth_table.py`: it judges as most plugins do, after the
address has been translated. Both readings must agree with the list, since a stack must work with either kind of plugin.
Rows are (source, Service, port, protocol).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from support.eks_recordings import managed
from support.network_policies import PRIVATE, Cluster, External, block_covers
from support.recorder import cloud, record_with, recorded, settings
from support.vpc_cni import API_SERVER, DNS, Agent, Port, Service, given_services, services

from infra import edges as declared
from infra.edges import Edge, Outside
from infra.naming import Workload

Json = dict[str, Any]
Row = tuple[str, str, int, str]

STACKS = ("staging", "prod", "prod with a mesh", "other way")
NEIGHBOURS: list[Json] = [
    {
        "kind": "Pod",
        "metadata": {"namespace": "kube-system", "name": "dns", "labels": {"k8s-app": "kube-dns"}},
        "spec": {"containers": [{"name": "dns", "ports": [{"containerPort": 53}]}]},
    },
    {
        "kind": "Service",
        "metadata": {"namespace": "elsewhere", "name": "strange"},
        "spec": {"selector": {"app": "strange"}, "ports": [{"port": 8000}, {"port": 22}]},
    },
]


@cache
def manifests(stack: str) -> list[Json]:
    if stack == "other way":
        return managed().manifests()
    if stack == "prod with a mesh":
        return record_with("prod", namespaces={"mesh": "istio"}).manifests()
    return recorded(stack).manifests()


def edges_of(stack: str) -> tuple[tuple[Workload, ...], tuple[Edge, ...]]:
    if stack == "other way":
        outputs = replace(cloud("staging"), pod_identity=True, dns_cidrs=())
        return declared.workloads(settings("staging")), declared.edges(settings("staging"), outputs)
    real = "prod" if stack == "prod with a mesh" else stack
    return declared.workloads(settings(real)), declared.edges(settings(real), cloud(real))


def workload_of(namespace: str, labels: Json, workloads: Iterable[Workload]) -> Workload | None:
    return next((w for w in workloads if w.namespace == namespace and w.selector.items() <= labels.items()), None)


def is_open(cluster: Cluster, reachable: Iterable[Service], workloads: Iterable[Workload]) -> set[Row]:
    agent = Agent(cluster)
    return {
        (str(pod), str(service), port.number, port.protocol)
        for pod in cluster.pods
        if workload_of(pod.namespace, dict(pod.labels), workloads)
        for service in reachable
        for port in service.ports
        if agent.connects(pod, service, port)
    }


def means(edge: Edge, service: Service, port: Port, cluster: Cluster, workloads: Iterable[Workload]) -> bool:
    """Whether a pod that has this edge may send to a port of a Service."""
    if edge.protocol != port.protocol:
        return False
    if isinstance(edge.target, Workload):
        owner = workload_of(service.namespace, dict(service.selector or {}), workloads)
        return owner == edge.target and edge.port in {service.target(port, pod) for pod in service.pods(cluster)}
    if edge.target.name == "api-server" and str(service) == API_SERVER:
        return edge.port == port.number
    return edge.port == port.number and any(
        block_covers(cidr, edge.target.without, service.address.networks) for cidr in edge.target.cidrs
    )


def takes(edge: Edge, source: Workload, port: int, target: Workload) -> bool:
    """Whether an edge lets a workload into another's pods."""
    if edge.target != target or edge.port != port:
        return False
    if isinstance(edge.source, Outside):
        return any(block_covers(cidr, edge.source.without, PRIVATE) for cidr in edge.source.cidrs)
    return edge.source == source


def is_declared(cluster: Cluster, reachable: Iterable[Service], stack: str) -> set[Row]:
    workloads, edges = edges_of(stack)
    rows: set[Row] = set()
    for pod in cluster.pods:
        source = workload_of(pod.namespace, dict(pod.labels), workloads)
        if source is None:
            continue
        for service in reachable:
            owner = workload_of(service.namespace, dict(service.selector or {}), workloads)
            for port in service.ports:
                targets = {service.target(port, behind) for behind in service.pods(cluster)}
                sends = str(service) == DNS or any(
                    edge.source == source and means(edge, service, port, cluster, workloads) for edge in edges
                )
                enters = owner is None or any(
                    takes(edge, source, target, owner) for edge in edges for target in targets if target is not None
                )
                if sends and enters:
                    rows.add((str(pod), str(service), port.number, port.protocol))
    return rows


def difference(stack: str, objects: list[Json]) -> dict[str, list[Row]]:
    everything = [*objects, *NEIGHBOURS]
    cluster, reachable = Cluster.of(everything), services(everything)
    opened, expected = is_open(cluster, reachable, edges_of(stack)[0]), is_declared(cluster, reachable, stack)
    rows = {"open, not declared": sorted(opened - expected), "declared, not open": sorted(expected - opened)}
    return {what: differing for what, differing in rows.items() if differing}


@pytest.mark.parametrize("stack", STACKS)
def test_services_that_pods_reach_are_the_declared_ones(stack: str) -> None:
    assert difference(stack, manifests(stack)) == {}


@pytest.mark.parametrize("stack", STACKS)
def test_who_talks_to_the_api_server_reaches_its_address(stack: str) -> None:
    """The table above would agree with a list that forgot them."""
    cluster, (api_server, _) = Cluster.of(manifests(stack)), given_services()
    for name in ("churn-ingress/ingress", "churn-monitoring/prometheus", "churn-monitoring/kube-state-metrics"):
        assert Agent(cluster).connects(cluster.pod(name), api_server, api_server.ports[0])


AWS_USERS = {"mlflow", "mlflow-migrate", "training", "backup", "backup-expiry", "drill", "restore"}


@pytest.mark.parametrize("stack", ["staging", "other way"])
def test_with_pod_identity_who_uses_aws_reaches_the_agent_on_its_node_and_nobody_else_does(stack: str) -> None:
    """A pod cannot get its role's credentials without it (cilium 34387 shows the failure)."""
    cluster, (workloads, _) = Cluster.of(manifests(stack)), edges_of(stack)
    agent = External.of("169.254.170.23/32")
    owners = {pod: workload_of(pod.namespace, dict(pod.labels), workloads) for pod in cluster.pods}
    clients = {owner.name for pod, owner in owners.items() if owner and cluster.allows(pod, agent, 80)}
    assert clients == (AWS_USERS if stack == "other way" else set())
    imds = External.of("169.254.169.254/32")
    assert not any(cluster.allows(pod, imds, 80) for pod in cluster.pods if not pod.host_network)


# ------------------------------------------------------------------ what the comparison must find


def changed(stack: str, kind: str, name: str, change: Callable[[Json], object]) -> list[Json]:
    copies: list[Json] = copy.deepcopy(manifests(stack))
    (chosen,) = [item for item in copies if (item["kind"], item["metadata"]["name"]) == (kind, name)]
    change(chosen["spec"])
    return copies


def without_services_range(spec: Json) -> None:
    for rule in spec["egress"]:
        rule["to"] = [peer for peer in rule["to"] if peer.get("ipBlock", {}).get("cidr") != "172.20.0.1/32"]


def test_a_policy_that_names_only_the_api_servers_own_addresses_is_found() -> None:
    rows = difference("staging", changed("staging", "NetworkPolicy", "kube-state-metrics", without_services_range))
    assert rows == {"declared, not open": [("churn-monitoring/kube-state-metrics", API_SERVER, 443, "TCP")]}


def test_a_service_on_another_port_than_its_pods_is_found() -> None:
    def other_port(spec: Json) -> None:
        spec["ports"][0]["port"] = 80

    rows = difference("staging", changed("staging", "Service", "mlflow", other_port))
    assert ("churn-serving/api", "churn-mlops/mlflow", 80, "TCP") in rows["declared, not open"]


def test_a_policy_that_names_a_label_the_service_does_not_select_by_is_found() -> None:
    def narrower(spec: Json) -> None:
        for rule in spec["egress"]:
            for peer in rule["to"]:
                labels = peer.get("podSelector", {}).get("matchLabels", {})
                if labels.get("app.kubernetes.io/name") == "mlflow":
                    labels["app.kubernetes.io/managed-by"] = "pulumi"

    rows = difference("staging", changed("staging", "NetworkPolicy", "api", narrower))
    assert rows == {"declared, not open": [("churn-serving/api", "churn-mlops/mlflow", 5000, "TCP")]}


def test_a_policy_for_all_pods_of_a_namespace_opens_all_its_services() -> None:
    def wider(spec: Json) -> None:
        spec["egress"].append({"to": [{"namespaceSelector": {}}], "ports": [{"port": 8000, "protocol": "TCP"}]})

    rows = difference("staging", changed("staging", "NetworkPolicy", "cache", wider))
    assert rows == {"open, not declared": [("churn-serving/cache", "elsewhere/strange", 8000, "TCP")]}
