"""Specs of network policies, made from the edges: `infra/edges.py` is the only place that says what may connect."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from pulumi_kubernetes.meta.v1 import LabelSelectorArgs
from pulumi_kubernetes.networking.v1 import (
    IPBlockArgs,
    NetworkPolicyEgressRuleArgs,
    NetworkPolicyIngressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicyPortArgs,
    NetworkPolicySpecArgs,
)

from infra.edges import Edge, Outside, Peer
from infra.kit.meta import selector
from infra.naming import Workload

NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""The label that the API server itself sets on every namespace; anybody could set a label of our own."""

ISTIOD_PORT = 15012


def _peers(peer: Peer) -> list[NetworkPolicyPeerArgs]:
    if isinstance(peer, Outside):
        return [
            NetworkPolicyPeerArgs(ip_block=IPBlockArgs(cidr=cidr, except_=list(peer.without) or None))
            for cidr in peer.cidrs
        ]
    return [
        NetworkPolicyPeerArgs(
            namespace_selector=LabelSelectorArgs(match_labels={NAMESPACE_NAME: peer.namespace}),
            pod_selector=selector(peer),
        )
    ]


def _ports(edges: Sequence[Edge]) -> list[NetworkPolicyPortArgs]:
    return [NetworkPolicyPortArgs(protocol=edge.protocol, port=edge.port) for edge in edges]


def _by_peer(edges: Iterable[tuple[Peer, Edge]]) -> list[tuple[Peer, list[Edge]]]:
    grouped: dict[Peer, list[Edge]] = defaultdict(list)
    for peer, edge in edges:
        grouped[peer].append(edge)
    return list(grouped.items())


def spec(workload: Workload, edges: Sequence[Edge]) -> NetworkPolicySpecArgs:
    """Return the policy of one workload: exactly its edges, in both directions."""
    incoming = _by_peer((edge.source, edge) for edge in edges if edge.target == workload)
    outgoing = _by_peer((edge.target, edge) for edge in edges if edge.source == workload)
    return NetworkPolicySpecArgs(
        pod_selector=selector(workload),
        policy_types=["Ingress", "Egress"],
        ingress=[NetworkPolicyIngressRuleArgs(from_=_peers(peer), ports=_ports(group)) for peer, group in incoming],
        egress=[NetworkPolicyEgressRuleArgs(to=_peers(peer), ports=_ports(group)) for peer, group in outgoing],
    )


def deny_all() -> NetworkPolicySpecArgs:
    """Return the policy that allows nothing in and nothing out, for every pod that no other policy selects."""
    return NetworkPolicySpecArgs(pod_selector=LabelSelectorArgs(), policy_types=["Ingress", "Egress"])


def mesh() -> NetworkPolicySpecArgs:
    """Return the policy by which every sidecar of a namespace reaches Istio's control plane."""
    control_plane = NetworkPolicyPeerArgs(
        namespace_selector=LabelSelectorArgs(match_labels={NAMESPACE_NAME: "istio-system"}),
        pod_selector=LabelSelectorArgs(match_labels={"app": "istiod"}),
    )
    return NetworkPolicySpecArgs(
        pod_selector=LabelSelectorArgs(),
        policy_types=["Egress"],
        egress=[
            NetworkPolicyEgressRuleArgs(
                to=[control_plane], ports=[NetworkPolicyPortArgs(protocol="TCP", port=ISTIOD_PORT)]
            )
        ],
    )


def dns(outside: Sequence[str]) -> NetworkPolicySpecArgs:
    """Return the policy by which every pod of a namespace reaches DNS: its pods, and the networks ``outside``."""
    pods = NetworkPolicyPeerArgs(
        namespace_selector=LabelSelectorArgs(match_labels={NAMESPACE_NAME: "kube-system"}),
        pod_selector=LabelSelectorArgs(match_labels={"k8s-app": "kube-dns"}),
    )
    blocks = [NetworkPolicyPeerArgs(ip_block=IPBlockArgs(cidr=cidr)) for cidr in outside]
    ports = [NetworkPolicyPortArgs(protocol=protocol, port=53) for protocol in ("UDP", "TCP")]
    return NetworkPolicySpecArgs(
        pod_selector=LabelSelectorArgs(),
        policy_types=["Egress"],
        egress=[NetworkPolicyEgressRuleArgs(to=[pods, *blocks], ports=ports)],
    )
