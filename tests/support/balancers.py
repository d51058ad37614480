"""The load balancers of a recorded stack as their controllers make them, and their security groups.

EKS Auto Mode and the AWS Load Balancer Controller give a balancer two groups, one for its clients and one that nodes
admit (aws-load-balancer-controller, docs/deploy/security_groups.md), and an NLB of theirs sends to pods. The cluster's
own controller makes an NLB without groups, which sends to ports of nodes, and admits clients' networks in the nodes'
group (cloud-provider-aws, pkg/providers/v1/aws_loadbalancer.go). Towards nodes, an NLB keeps clients' addresses unless
it is told otherwise (ELB user guide, edit-target-group-attributes).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any, Final

from support.packets import Entry, Place, Subnet, Vpc
from support.recorder import find

from ops.stack.recording import Recording, Resource

ANYWHERE: Final = IPv4Network("0.0.0.0/0")
NLB: Final = "service.beta.kubernetes.io/aws-load-balancer-"
ALB: Final = "alb.ingress.kubernetes.io/"
NODE_PORTS: Final = (30000, 32767)
"""The ends of the range from which Kubernetes takes node ports."""
CLUSTER: Final = "compute-cluster-eks-security-group"
"""EKS' own group of the cluster: everything within it, and everything out (EKS user guide, sec-group-reqs)."""


@dataclass(frozen=True, kw_only=True)
class Balancer:
    """A load balancer: who may use which of its ports, and where it sends to."""

    name: str
    internal: bool
    listeners: tuple[int, ...]
    targets: tuple[tuple[int, ...], ...]
    """For each listener the ports of targets that it may send to."""
    preserved: bool
    sources: tuple[IPv4Network, ...]
    grouped: bool

    @property
    def front(self) -> str:
        """The group for clients."""
        return f"{self.name}-front"

    @property
    def back(self) -> str:
        """The group that nodes admit."""
        return f"{self.name}-back"

    def groups(self) -> dict[str, Any]:
        """Its groups with their rules."""
        if not self.grouped:
            return {}
        entries = [
            Entry(network=source, protocol="tcp", ports=(port, port))
            for source in self.sources
            for port in self.listeners
        ]
        return {self.front: {"ingress": entries}, self.back: {"egress": [_everything()]}}

    def node_rules(self) -> Iterator[Entry]:
        """What its controller adds to the group of nodes."""
        for ports in self.targets:
            for port in ports:
                if self.grouped:
                    yield Entry(network=None, protocol="tcp", ports=(port, port), group=self.back)
                else:
                    for source in self.sources:
                        yield Entry(network=source, protocol="tcp", ports=(port, port))

    def place(self, vpc: Vpc, subnet: Subnet) -> Place:
        """Its interface in a subnet."""
        groups = (self.front, self.back) if self.grouped else ()
        return vpc.place(self.name, subnet, *groups, host=200, public=not self.internal)

    def subnets(self, vpc: Vpc) -> list[Subnet]:
        """Where it has interfaces: its controller finds them by their tags."""
        return vpc.tier("private" if self.internal else "public")


def _everything() -> Entry:
    return Entry(network=ANYWHERE, protocol=None, ports=(0, 65535))


def balancers(recording: Recording) -> dict[str, Balancer]:
    """The stack's balancers by the logical name of their Service or Ingress."""
    kubernetes = [item for item in recording.resources if item.is_kubernetes]
    services = [item for item in kubernetes if item.inputs["kind"] == "Service"]
    listed = [_nlb(recording, item) for item in services if item.inputs["spec"].get("type") == "LoadBalancer"]
    classes = {
        item.inputs["metadata"]["name"]: item for item in kubernetes if item.inputs["kind"] == "IngressClassParams"
    }
    for item in kubernetes:
        class_name = item.inputs["spec"].get("ingressClassName") if item.inputs["kind"] == "Ingress" else None
        if class_name in classes:
            listed.append(_alb(recording, item, classes[class_name]))
    return {balancer.name: balancer for balancer in listed}


def _container_port(recording: Recording, name: str) -> int:
    (container,) = find(recording, "Deployment", "ingress").inputs["spec"]["template"]["spec"]["containers"]
    return next(int(port["containerPort"]) for port in container["ports"] if port["name"] == name)


def _nlb(recording: Recording, item: Resource) -> Balancer:
    spec, annotations = item.inputs["spec"], item.inputs["metadata"]["annotations"]
    to_pods = spec.get("loadBalancerClass") == "eks.amazonaws.com/nlb"
    if to_pods:
        internal = annotations.get(f"{NLB}scheme", "internal") == "internal"
    else:
        internal = annotations.get(f"{NLB}internal") == "true"
    attributes = dict(
        pair.split("=") for pair in annotations.get(f"{NLB}target-group-attributes", "").split(",") if pair
    )
    default = "false" if to_pods else "true"
    return Balancer(
        name=item.name,
        internal=internal,
        listeners=tuple(port["port"] for port in spec["ports"]),
        targets=tuple(
            (_container_port(recording, port["targetPort"]),) if to_pods else NODE_PORTS for port in spec["ports"]
        ),
        preserved=attributes.get("preserve_client_ip.enabled", default) == "true",
        sources=tuple(map(IPv4Network, spec.get("loadBalancerSourceRanges") or ["0.0.0.0/0"])),
        grouped=to_pods,
    )


def _alb(recording: Recording, item: Resource, parameters: Resource) -> Balancer:
    annotations = item.inputs["metadata"]["annotations"]
    listeners = tuple(port for entry in json.loads(annotations[f"{ALB}listen-ports"]) for port in entry.values())
    return Balancer(
        name=item.name,
        internal=parameters.inputs["spec"]["scheme"] == "internal",
        listeners=listeners,
        targets=tuple((_container_port(recording, "https"),) for _ in listeners),
        preserved=False,
        sources=tuple(map(IPv4Network, annotations.get(f"{ALB}inbound-cidrs", "0.0.0.0/0").split(","))),
        grouped=True,
    )


def join(vpc: Vpc, all_balancers: dict[str, Balancer]) -> None:
    """Add EKS' group of the cluster and the controllers' groups to a network."""
    own = vpc.groups.get(CLUSTER, {})
    vpc.groups[CLUSTER] = {
        "ingress": [Entry(network=None, protocol=None, ports=(0, 65535), group=CLUSTER), *own.get("ingress", [])],
        "egress": [_everything()],
    }
    for balancer in all_balancers.values():
        vpc.groups |= balancer.groups()
        vpc.groups[CLUSTER]["ingress"] += balancer.node_rules()


def reach(vpc: Vpc, balancer: Balancer, client: Place, *, only: int | None = None) -> list[str]:
    """What stops a client's way through all ports of a balancer, or one, to pods or nodes in every zone, and back."""
    stops: list[str] = []
    for subnet in balancer.subnets(vpc):
        node = balancer.place(vpc, subnet)
        for listener, ports in zip(balancer.listeners, balancer.targets, strict=True):
            if only not in {None, listener}:
                continue
            stops += [f"client to balancer: {stop}" for stop in vpc.refusals(client, node, listener)]
            for private in vpc.tier("private"):
                pod = vpc.place("pod", private, CLUSTER)
                for port in ports:
                    steps = vpc.forwarded(client.address, node, pod, port, preserved=balancer.preserved)
                    stops += [f"balancer to {port}: {stop}" for stop in steps]
    return list(dict.fromkeys(stops))
