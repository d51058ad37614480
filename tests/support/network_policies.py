"""What NetworkPolicies (networking.k8s.io/v1) allow, computed from plain manifests: no cluster, no network plugin.

The meaning is that of the API's reference: policies add up; a pod that no policy selects in a direction is open in
that direction; traffic between two pods needs the sender's egress and the receiver's ingress. Ports are those of the
pods, as behind a Service. Where the API leaves a choice to the network plugin, this takes the wider reading, so that
nothing is called closed that is open somewhere: an ``ipBlock`` also covers pods whose possible addresses it overlaps,
and pods on the host's network are nodes: no policy isolates them, and only an ``ipBlock`` names them as a peer.
What a node itself sends to its pods (probes) always passes, and is not asked about here.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Direction = Literal["Ingress", "Egress"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Manifest = Mapping[str, Any]

PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)


@dataclass(frozen=True)
class External:
    """Addresses outside the cluster; a question about them asks whether *any* of them is allowed."""

    networks: tuple[Network, ...]

    @classmethod
    def of(cls, *networks: str) -> External:
        return cls(tuple(ipaddress.ip_network(text) for text in networks))


@dataclass(frozen=True, eq=False, kw_only=True)
class Pod:
    """Any pod of one workload; all its replicas are alike to a policy."""

    kind: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    ports: tuple[Mapping[str, Any], ...] = ()
    host_network: bool = False

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def named(self, name: str, protocol: str) -> Iterator[int]:
        """The numbers of its container ports with this name."""
        for port in self.ports:
            if port.get("name") == name and port.get("protocol", "TCP") == protocol:
                yield port["containerPort"]


Peer = Pod | External


def _without(piece: Network, hole: Network) -> Iterable[Network]:
    if not piece.overlaps(hole):  # which includes networks of different IP versions
        return [piece]
    # subnet_of and address_exclude are typed for one IP version; networks that overlap have the same one.
    inside = hole.subnet_of(piece)  # type: ignore[arg-type]
    return piece.address_exclude(hole) if inside else []  # type: ignore[arg-type]


def subtract(networks: Iterable[Network], holes: Iterable[Network]) -> tuple[Network, ...]:
    """The addresses of ``networks`` that lie in none of the ``holes``."""
    pieces = tuple(networks)
    for hole in holes:
        pieces = tuple(rest for piece in pieces for rest in _without(piece, hole))
    return pieces


_SPECIAL = tuple(map(ipaddress.ip_network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")))
INTERNET = External(subtract(map(ipaddress.ip_network, ("0.0.0.0/0", "2000::/3")), PRIVATE + _SPECIAL))


@functools.cache
def block_covers(cidr: str, holes: tuple[str, ...], networks: tuple[Network, ...]) -> bool:
    """Whether an ``ipBlock`` with these exceptions contains at least one address of the networks."""
    inside = subtract([ipaddress.ip_network(cidr)], map(ipaddress.ip_network, holes))
    return any(a.overlaps(b) for a in inside for b in networks)


def selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches; an empty one matches everything."""
    unknown = set(selector) - {"matchLabels", "matchExpressions"}
    if unknown:
        raise ValueError(f"not a label selector: {sorted(unknown)}")
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions") or ())


def _holds(expression: Manifest, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]  # a pod without the label matches too
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case other:
            raise ValueError(f"unknown operator {other!r} in a label selector")


def port_matches(rule: Manifest, receiver: Peer, port: int, protocol: str) -> bool:
    """Whether one entry of ``ports`` covers this port; a name means a container port of the receiver."""
    if rule.get("protocol", "TCP") != protocol:
        return False
    first, last = rule.get("port"), rule.get("endPort")
    if last is not None and not isinstance(first, int):
        raise ValueError(f"endPort needs a port number before it: {dict(rule)}")
    if first is None:
        return True
    if isinstance(first, str):
        return isinstance(receiver, Pod) and port in receiver.named(first, protocol)
    return bool(first <= port <= (first if last is None else last))


@dataclass(frozen=True, eq=False)
class Policy:
    """One NetworkPolicy."""

    manifest: Manifest

    @property
    def namespace(self) -> str:
        return str(self.manifest["metadata"].get("namespace", "default"))

    def isolates(self, pod: Pod, direction: Direction) -> bool:
        """Whether it selects the pod and restricts this direction."""
        spec = self.manifest["spec"]
        types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
        return (
            direction in types
            and not pod.host_network
            and pod.namespace == self.namespace
            and selects(spec.get("podSelector") or {}, pod.labels)
        )

    def rules(self, direction: Direction) -> Iterator[tuple[Sequence[Manifest], Sequence[Manifest]]]:
        """Its rules as (peers, ports); an empty one means all."""
        for rule in self.manifest["spec"].get(direction.lower()) or ():
            yield rule.get("from" if direction == "Ingress" else "to") or (), rule.get("ports") or ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Cluster:
    """Namespaces, pods and policies of some manifests, and which connections they allow."""

    namespaces: Mapping[str, Mapping[str, str]]
    pods: tuple[Pod, ...]
    policies: tuple[Policy, ...]
    pod_networks: tuple[Network, ...] = PRIVATE
    _selected: dict[tuple[Pod, Direction], tuple[Policy, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, manifests: Iterable[Manifest]) -> Cluster:
        objects = list(manifests)
        return cls(
            namespaces={
                item["metadata"]["name"]: _namespace_labels(item) for item in objects if _is(item, "Namespace")
            },
            pods=tuple(pod for item in objects for pod in _pods(item)),
            policies=tuple(Policy(item) for item in objects if _is(item, "NetworkPolicy")),
        )

    def pod(self, name: str) -> Pod:
        """The pod of the workload ``namespace/name``."""
        matches = [pod for pod in self.pods if str(pod) == name]
        if len(matches) != 1:
            raise KeyError(f"{len(matches)} workloads are called {name!r}")
        return matches[0]

    def ports(self) -> set[tuple[int, str]]:
        """Every port that any container declares, with its protocol."""
        return {(port["containerPort"], port.get("protocol", "TCP")) for pod in self.pods for port in pod.ports}

    def allows(self, source: Peer, target: Peer, port: int, protocol: str = "TCP") -> bool:
        """Whether the source may open a connection to this port of the target."""
        return (not isinstance(source, Pod) or self._passes(source, "Egress", target, port, protocol)) and (
            not isinstance(target, Pod) or self.enters(source, target, port, protocol)
        )

    def enters(self, source: Peer, target: Pod, port: int, protocol: str = "TCP") -> bool:
        """Whether the target alone would take the connection, whatever the source may send."""
        return self._passes(target, "Ingress", source, port, protocol)

    def _passes(self, pod: Pod, direction: Direction, other: Peer, port: int, protocol: str) -> bool:
        receiver = pod if direction == "Ingress" else other
        if (pod, direction) not in self._selected:
            self._selected[pod, direction] = tuple(p for p in self.policies if p.isolates(pod, direction))
        policies = self._selected[pod, direction]
        return not policies or any(
            (not ports or any(port_matches(rule, receiver, port, protocol) for rule in ports))
            and (not peers or any(self._is_peer(peer, policy.namespace, other) for peer in peers))
            for policy in policies
            for peers, ports in policy.rules(direction)
        )

    def _is_peer(self, peer: Manifest, namespace: str, other: Peer) -> bool:
        if not peer or set(peer) - {"ipBlock", "podSelector", "namespaceSelector"}:
            raise ValueError(f"a peer names an ipBlock, a podSelector or a namespaceSelector: {dict(peer)}")
        if "ipBlock" in peer:
            if len(peer) > 1:
                raise ValueError(f"an ipBlock stands alone in its peer: {dict(peer)}")
            networks = self.pod_networks if isinstance(other, Pod) else other.networks
            return block_covers(peer["ipBlock"]["cidr"], tuple(peer["ipBlock"].get("except") or ()), networks)
        if isinstance(other, External) or other.host_network:
            return False
        if "namespaceSelector" not in peer:
            here = other.namespace == namespace
        else:
            labels = self.namespaces.get(other.namespace) or _name_label(other.namespace)
            here = selects(peer["namespaceSelector"], labels)
        return here and selects(peer.get("podSelector") or {}, other.labels)


def _is(item: Manifest, kind: str) -> bool:
    return bool(item["kind"] == kind)


def _namespace_labels(item: Manifest) -> Mapping[str, str]:
    return {**(item["metadata"].get("labels") or {}), **_name_label(item["metadata"]["name"])}


def _name_label(namespace: str) -> Mapping[str, str]:
    """The label that the API server itself puts on every namespace."""
    return {"kubernetes.io/metadata.name": namespace}


def _pods(item: Manifest) -> Iterator[Pod]:
    match item["kind"]:
        case "Deployment" | "StatefulSet" | "DaemonSet" | "Job":
            template = item["spec"]["template"]
        case "CronJob":
            template = item["spec"]["jobTemplate"]["spec"]["template"]
        case "Pod":
            template = item
        case _:
            return
    spec = template["spec"]
    # A restartable init container (a sidecar) serves its ports as any container does.
    containers = [*spec["containers"], *(c for c in spec.get("initContainers") or () if c.get("restartPolicy"))]
    yield Pod(
        kind=item["kind"],
        namespace=item["metadata"].get("namespace", "default"),
        name=item["metadata"]["name"],
        labels=(template.get("metadata") or {}).get("labels") or {},
        ports=tuple(port for container in containers for port in container.get("ports") or ()),
        host_network=bool(spec.get("hostNetwork")),
    )
