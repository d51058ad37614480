"""The connections that the rendered policies allow are the declared ones, for every pair of peers and every port.

Rows are (source, target, port, protocol). A row that is open but not declared is a hole; one that is declared but not
open is a fault. The cluster's DNS, pods of other applications and addresses outside are peers too.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest
from support.network_policies import INTERNET, PRIVATE, Cluster, External, Network, Peer, Pod, block_covers
from support.recorder import STACKS, cloud, record_with, recorded, settings

from infra import edges as declared
from infra.aws.addresses import plan
from infra.edges import Edge, Outside
from infra.naming import INGRESS, Workload
from infra.workloads.namespaces import EXEMPT

Json = dict[str, Any]
Row = tuple[str, str, int, str]

UNDECLARED = 4321
PROTOCOLS = ("TCP", "UDP")
DNS = {(53, "TCP"), (53, "UDP")}
MESHED = "prod with a mesh"
ISTIOD = 15012


def pod(namespace: str, name: str, labels: dict[str, str], *ports: int) -> Json:
    containers = [{"name": name, "ports": [{"containerPort": port} for port in ports]}]
    metadata = {"namespace": namespace, "name": name, "labels": labels}
    return {"kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}


# Other pods of the cluster, and some that only look like them.
NEIGHBOURS = [
    pod("kube-system", "dns", {"k8s-app": "kube-dns"}, 53, 9153),
    pod("kube-system", "other", {"k8s-app": "other"}, 53),
    pod("istio-system", "istiod", {"app": "istiod"}, 15010, ISTIOD, 15014),
    pod("elsewhere", "stranger", {"app.kubernetes.io/name": "prometheus", "app.kubernetes.io/part-of": "churn"}, 9090),
    pod("elsewhere", "false-dns", {"k8s-app": "kube-dns"}, 53),
]
ADDRESSES = [plan(settings(stack).network.cidr, settings(stack).network.zone_count) for stack in ("staging", "prod")]
NETWORKS = {
    "(internet)": INTERNET,
    "(metadata service)": External.of("169.254.169.254/32", "169.254.170.23/32"),
    "(private network)": External.of("10.99.0.0/16"),
    "(nodes)": External.of(*(cidr for plan in ADDRESSES for cidr in plan.private)),
    "(public subnets)": External.of(*(cidr for plan in ADDRESSES for cidr in plan.public)),
    "(database)": External.of(*(cidr for plan in ADDRESSES for cidr in plan.database)),
    "(cluster DNS)": External.of("172.20.0.10/32"),
    "(API server)": External.of("172.20.0.1/32"),
}


@cache
def manifests(stack: str) -> list[Json]:
    if stack == MESHED:
        return record_with("prod", namespaces={"mesh": "istio"}).manifests()
    return recorded(stack).manifests()


def edges_of(stack: str) -> tuple[tuple[Workload, ...], tuple[Edge, ...]]:
    real = "prod" if stack == MESHED else stack
    return declared.workloads(settings(real)), declared.edges(settings(real), cloud(real))


def workload_of(pod: Pod, workloads: Iterable[Workload]) -> Workload | None:
    """The declared workload of a pod; None for a neighbour."""
    owners = [w for w in workloads if pod.namespace == w.namespace and w.selector.items() <= pod.labels.items()]
    assert len(owners) <= 1
    return owners[0] if owners else None


def peers(cluster: Cluster) -> dict[str, Peer]:
    return {f"{pod.kind} {pod}": pod for pod in cluster.pods} | NETWORKS


def asked_ports(cluster: Cluster, edges: Iterable[Edge]) -> list[tuple[int, str]]:
    """Every port that a container declares or an edge names, and a few others, for both protocols."""
    numbers = {port for port, _ in cluster.ports()} | {edge.port for edge in edges} | {UNDECLARED, 80, 443, 22}
    return [(number, protocol) for number in sorted(numbers) for protocol in PROTOCOLS]


def computed(cluster: Cluster, edges: Iterable[Edge], workloads: Iterable[Workload]) -> set[Row]:
    """Every open row with one of our workloads."""
    ours = {name for name, peer in peers(cluster).items() if isinstance(peer, Pod) and workload_of(peer, workloads)}
    return {
        (source, target, port, protocol)
        for source, sender in peers(cluster).items()
        for target, receiver in peers(cluster).items()
        if source in ours or target in ours
        for port, protocol in asked_ports(cluster, edges)
        if cluster.allows(sender, receiver, port, protocol)
    }


def fits(end: Workload | Outside, peer: Peer, workloads: Iterable[Workload]) -> bool:
    """Whether one end of an edge means a peer. Our own pods are meant by their workload, never by addresses."""
    workload = workload_of(peer, workloads) if isinstance(peer, Pod) else None
    if isinstance(end, Workload):
        return workload == end
    return workload is None and covers(end, PRIVATE if isinstance(peer, Pod) else peer.networks)


def covers(end: Outside, networks: tuple[Network, ...]) -> bool:
    return any(block_covers(cidr, end.without, networks) for cidr in end.cidrs)


def through_addresses(edges: Iterable[Edge]) -> set[tuple[Workload, Workload, int, str]]:
    """Pairs that no edge names: what may connect to every address may also connect to the ingress.

    The ingress takes connections from every address. Nothing else does, so nothing else can be reached in this way.
    """
    outward = [e for e in edges if isinstance(e.target, Outside) and covers(e.target, PRIVATE)]
    inward = [e for e in edges if isinstance(e.source, Outside)]
    assert {edge.target for edge in inward} <= {INGRESS}
    return {
        (out.source, into.target, out.port, out.protocol)
        for out in outward
        for into in inward
        if isinstance(out.source, Workload) and isinstance(into.target, Workload)
        if (out.port, out.protocol) == (into.port, into.protocol)
    }


def everywhere(cluster: Cluster, workloads: Iterable[Workload], dns_cidrs: tuple[str, ...], *, mesh: bool) -> set[Row]:
    """Rows that are open to every pod of ours: to DNS and, in a mesh, to the control plane."""
    rows: set[Row] = set()
    for source, sender in peers(cluster).items():
        if isinstance(sender, Pod) and workload_of(sender, workloads):
            servers = [
                name
                for name, network in NETWORKS.items()
                if covers(Outside(name="", cidrs=dns_cidrs), network.networks)
            ]
            if covers(Outside(name="", cidrs=dns_cidrs), PRIVATE):
                # Addresses of pods are not known here: any neighbour could have one of those of DNS.
                servers += [f"{pod.kind} {pod}" for pod in cluster.pods if workload_of(pod, workloads) is None]
            rows |= {
                (source, name, port, protocol) for name in ["Pod kube-system/dns", *servers] for port, protocol in DNS
            }
            if mesh and sender.namespace not in EXEMPT:
                rows.add((source, "Pod istio-system/istiod", ISTIOD, "TCP"))
    return rows


def expected(cluster: Cluster, edges: Iterable[Edge], workloads: Iterable[Workload]) -> set[Row]:
    """Every declared row."""
    rows: set[Row] = set()
    indirect = through_addresses(edges)
    for source, sender in peers(cluster).items():
        for target, receiver in peers(cluster).items():
            for edge in edges:
                if fits(edge.source, sender, workloads) and fits(edge.target, receiver, workloads):
                    rows.add((source, target, edge.port, edge.protocol))
            for client, server, port, protocol in indirect:
                if fits(client, sender, workloads) and fits(server, receiver, workloads):
                    rows.add((source, target, port, protocol))
    return rows


def difference(stack: str, objects: Iterable[Json]) -> dict[str, list[Row]]:
    """Rows that differ; empty if the policies allow exactly what was declared."""
    cluster = Cluster.of([*objects, *NEIGHBOURS])
    workloads, edges = edges_of(stack)
    is_open = computed(cluster, edges, workloads)
    dns_cidrs = cloud("prod" if stack == MESHED else stack).dns_cidrs
    is_declared = expected(cluster, edges, workloads) | everywhere(cluster, workloads, dns_cidrs, mesh=stack == MESHED)
    rows_by_kind = {
        "open, not declared": sorted(is_open - is_declared),
        "declared, not open": sorted(is_declared - is_open),
    }
    return {what: rows for what, rows in rows_by_kind.items() if rows}


@pytest.mark.parametrize("stack", [*STACKS, MESHED])
def test_what_is_open_is_what_was_declared(stack: str) -> None:
    assert difference(stack, manifests(stack)) == {}


@pytest.mark.parametrize("stack", STACKS)
def test_every_pod_is_a_declared_workload_and_every_workload_has_pods(stack: str) -> None:
    workloads, _ = edges_of(stack)
    owners = {str(pod): workload_of(pod, workloads) for pod in Cluster.of(manifests(stack)).pods}
    assert [name for name, workload in owners.items() if workload is None] == []
    assert {workload.name for workload in workloads} - {w.name for w in owners.values() if w} == set()


# ------------------------------------------------------------------ what the comparison must find


def policy(namespace: str, **spec: Any) -> Json:
    spec = {"podSelector": {}, "policyTypes": [kind.capitalize() for kind in spec]} | spec
    return {"kind": "NetworkPolicy", "metadata": {"name": "sample", "namespace": namespace}, "spec": spec}


def bare_names(rows: dict[str, list[Row]], kind: str) -> set[tuple[str, str, int, str]]:
    """Rows without the kinds of their ends."""
    return {(a.split(" ")[-1], b.split(" ")[-1], port, protocol) for a, b, port, protocol in rows.get(kind, [])}


def test_a_policy_that_opens_an_undeclared_pair_is_found() -> None:
    extra = [
        policy("churn-serving", egress=[{"to": [{"namespaceSelector": {}}], "ports": [{"port": 5000}]}]),
        policy("elsewhere", ingress=[{}]),
    ]
    rows = bare_names(difference("dev", [*manifests("dev"), *extra]), "open, not declared")
    assert ("churn-serving/api", "elsewhere/stranger", 5000, "TCP") in rows
    assert {port for _, _, port, _ in rows} == {5000}


def test_a_policy_that_opens_the_internet_is_found() -> None:
    block = {"cidr": "0.0.0.0/0", "except": [str(network) for network in PRIVATE if network.version == 4]}
    extra = policy("churn-serving", egress=[{"to": [{"ipBlock": block}], "ports": [{"port": 443}]}])
    rows = difference("dev", [*manifests("dev"), extra])
    assert ("churn-serving/api", "(internet)", 443, "TCP") in bare_names(rows, "open, not declared")
    assert list(rows) == ["open, not declared"]


def test_a_lost_policy_is_found() -> None:
    others = [m for m in manifests("dev") if (m["kind"], m["metadata"]["name"]) != ("NetworkPolicy", "api")]
    rows = difference("dev", others)
    assert list(rows) == ["declared, not open"]
    assert all("churn-serving/api" in (row[0] + row[1]) for row in rows["declared, not open"])


def test_a_lost_default_is_found() -> None:
    """Without its policy and the default-deny, a pod would be open to everybody."""
    others = [
        m for m in manifests("dev") if m["kind"] != "NetworkPolicy" or m["metadata"]["namespace"] != "churn-serving"
    ]
    rows = bare_names(difference("dev", others), "open, not declared")
    assert ("elsewhere/stranger", "churn-serving/api", UNDECLARED, "TCP") in rows
    assert ("churn-serving/api", "(internet)", 22, "TCP") in rows
