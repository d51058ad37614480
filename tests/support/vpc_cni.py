"""What NetworkPolicies allow on EKS, whose agent judges a pod's packet before the address of a Service is translated.

Its programs sit on the pod's own interface, so they see a ClusterIP where most other plugins see the pod behind it. The
controller therefore adds ClusterIPs to what a policy allows, but only of some Services
(aws/amazon-network-policy-controller-k8s, `getMatchingServiceClusterIPs` in pkg/resolvers/endpoints.go):

- not of a headless one, whose name leads to pods anyway;
- only if the peer's ``podSelector`` selects the labels of the Service's own *selector*: the policy may name some or all
  of them, but no other label of the pods (issues 147, 194, 207, 224). An empty one selects every Service;
- only where the Service's port is the container's (documented as a requirement: aws/aws-network-policy-agent 166; the
  controller can do without in some cases, and the stricter reading is taken here).

An ``ipBlock`` is taken as it stands. That is the only way to a Service without a selector, such as the API server's
(aws/containers-roadmap 2552, archestra-ai/archestra 5538).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from support.network_policies import Cluster, External, Manifest, Pod, block_covers, port_matches, selects

RANGE: Final = ipaddress.ip_network("172.20.0.0/16")
API_SERVER: Final = "default/kubernetes"
DNS: Final = "kube-system/kube-dns"
FIRST_FREE: Final = 256
"""Where the addresses begin that this gives to Services; EKS gives those of the API server and of DNS itself."""


@dataclass(frozen=True, kw_only=True)
class Port:
    """One port of a Service, and the port of its pods, by number or name."""

    number: int
    target: int | str
    protocol: str = "TCP"


@dataclass(frozen=True, eq=False, kw_only=True)
class Service:
    """A Service with an address of its own."""

    namespace: str
    name: str
    selector: Mapping[str, str] | None
    address: External
    ports: tuple[Port, ...]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def pods(self, cluster: Cluster) -> Iterator[Pod]:
        """The pods behind it."""
        for pod in cluster.pods:
            if self.selector and pod.namespace == self.namespace and self.selector.items() <= pod.labels.items():
                yield pod

    def target(self, port: Port, pod: Pod) -> int | None:
        """The number of the port of one of its pods; None if that pod has no port of that name."""
        return port.target if isinstance(port.target, int) else next(pod.named(port.target, port.protocol), None)


def _given(name: str, selector: Mapping[str, str] | None, host: int, *ports: Port) -> Service:
    namespace, _, bare = name.partition("/")
    address = External.of(f"{RANGE[host]}/32")
    return Service(namespace=namespace, name=bare, selector=selector, address=address, ports=ports)


def given_services() -> list[Service]:
    """The Services that EKS itself makes."""
    dns = [Port(number=53, target=53, protocol=protocol) for protocol in ("UDP", "TCP")]
    return [
        _given(API_SERVER, None, 1, Port(number=443, target=443)),
        _given(DNS, {"k8s-app": "kube-dns"}, 10, *dns),
    ]


def services(manifests: Iterable[Manifest]) -> list[Service]:
    """Every Service with an address: those of EKS, and those of the manifests."""
    listed = given_services()
    for item in manifests:
        if item["kind"] != "Service" or item["spec"].get("clusterIP") == "None":
            continue
        spec: Mapping[str, Any] = item["spec"]
        ports = [
            Port(
                number=port["port"],
                target=port.get("targetPort", port["port"]),
                protocol=port.get("protocol", "TCP"),
            )
            for port in spec["ports"]
        ]
        name = f"{item['metadata'].get('namespace', 'default')}/{item['metadata']['name']}"
        listed.append(_given(name, spec.get("selector"), FIRST_FREE + len(listed), *ports))
    return listed


@dataclass(frozen=True, eq=False)
class Agent:
    """The verdicts of EKS' agent on packets that a pod sends to a Service."""

    cluster: Cluster

    def connects(self, source: Pod, service: Service, port: Port) -> bool:
        """Whether a pod reaches a port of a Service: its packet may leave, and enter some pod behind it."""
        if not self.leaves(source, service, port):
            return False
        behind = [(pod, service.target(port, pod)) for pod in service.pods(self.cluster)]
        return not behind or any(
            number is not None and self.cluster.enters(source, pod, number, port.protocol) for pod, number in behind
        )

    def leaves(self, source: Pod, service: Service, port: Port) -> bool:
        """Whether a pod's packet to the Service's address may leave the pod."""
        policies = [policy for policy in self.cluster.policies if policy.isolates(source, "Egress")]
        return not policies or any(
            self._allows(peer, policy.namespace, ports, service, port)
            for policy in policies
            for peers, ports in policy.rules("Egress")
            for peer in peers or ({"ipBlock": {"cidr": "0.0.0.0/0"}},)
        )

    def _allows(self, peer: Manifest, namespace: str, ports: Sequence[Manifest], service: Service, port: Port) -> bool:
        if "ipBlock" in peer:
            block = peer["ipBlock"]
            return block_covers(block["cidr"], tuple(block.get("except") or ()), service.address.networks) and (
                not ports or any(port_matches(rule, service.address, port.number, port.protocol) for rule in ports)
            )
        return (
            self._is_in(peer, namespace, service)
            and selects(peer.get("podSelector") or {}, service.selector or {})
            and (not ports or any(self._same_port(rule, service, port) for rule in ports))
        )

    def _is_in(self, peer: Manifest, namespace: str, service: Service) -> bool:
        if "namespaceSelector" not in peer:
            return service.namespace == namespace
        name = {"kubernetes.io/metadata.name": service.namespace}
        return selects(peer["namespaceSelector"], self.cluster.namespaces.get(service.namespace) or name)

    def _same_port(self, rule: Manifest, service: Service, port: Port) -> bool:
        """Whether a rule about the pods' port lets the Service's port pass."""
        if isinstance(rule.get("port"), str):
            return bool(rule["port"] == port.target and rule.get("protocol", "TCP") == port.protocol)
        behind: set[int | str | None] = {service.target(port, pod) for pod in service.pods(self.cluster)}
        targets = behind or {port.target}
        return targets == {port.number} and port_matches(rule, service.address, port.number, port.protocol)
