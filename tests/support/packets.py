"""Packets through a recorded VPC: routes, network access lists and security groups, for a request and for its answer.

The rules are those of AWS:

- an access list judges each packet that crosses the border of a subnet, answers too, by its lowest matching number;
- a security group judges the first packet of a connection only: it allows what one of its rules names, by network or by
  group, and a resource with no group at all is open (a load balancer may be one, a pod never is);
- the most specific route wins; an internet gateway serves only addresses that are public, a NAT gateway all;
- an NLB that preserves clients' addresses sends their packets on under these, so that the lists of the targets' subnets
  see them too, while a rule that names the NLB's group still holds for them (Elastic Load Balancing user guide,
  load-balancer-security-groups and edit-target-group-attributes).

S3's gateway endpoint is left out: without it, the same packets take the NAT gateway.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Final, Literal

from support.aws_rules import of

from ops.stack.recording import Recording

PROTOCOLS: Final = {"-1": None, "tcp": "tcp", "6": "tcp", "udp": "udp", "17": "udp"}
EPHEMERAL: Final = (1024, 65535)
"""The ends of the range from which clients take their ports (Linux uses its middle, NAT gateways all of it)."""

Way = Literal["ingress", "egress"]
WAYS: Final[tuple[Way, ...]] = ("ingress", "egress")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A network interface, or an address on the internet, which has no subnet."""

    name: str
    address: IPv4Address
    subnet: str = ""
    groups: frozenset[str] = frozenset()
    public: bool = False
    """Whether it has a public address besides its own."""


@dataclass(frozen=True, kw_only=True)
class Packet:
    """One packet's addresses and its port of destination."""

    source: IPv4Address
    target: IPv4Address
    port: int
    protocol: str = "tcp"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A rule of an access list, or of a security group, where ``group`` may stand instead of a network."""

    network: IPv4Network | None
    protocol: str | None
    ports: tuple[int, int]
    group: str = ""
    number: int = 0
    allows: bool = True

    def matches(self, address: IPv4Address, packet: Packet, groups: Iterable[str] = ()) -> bool:
        """Whether it is about this packet, whose other end has this address and these groups."""
        first, last = self.ports
        return (
            self.protocol in {None, packet.protocol}
            and (self.protocol is None or first <= packet.port <= last)
            and (self.group in groups if self.group else self.network is not None and address in self.network)
        )


@dataclass(frozen=True, kw_only=True)
class Subnet:
    """A subnet with its routes and its access list."""

    id: str
    network: IPv4Network
    zone: str
    tier: str
    routes: Mapping[IPv4Network, str]
    """Kind of the next hop by destination: ``local``, ``internet`` or the id of a NAT gateway's subnet."""
    lists: Mapping[Way, Sequence[Entry]]

    def passes(self, way: Way, packet: Packet) -> bool:
        """Whether the access list lets the packet into or out of the subnet."""
        other = packet.source if way == "ingress" else packet.target
        rules = sorted(self.lists[way], key=lambda entry: entry.number)
        return next((entry.allows for entry in rules if entry.matches(other, packet)), False)

    def next_hop(self, target: IPv4Address) -> str:
        """Where a packet to this address is sent; empty if nowhere."""
        fitting = [network for network in self.routes if target in network]
        return self.routes[max(fitting, key=lambda network: network.prefixlen)] if fitting else ""


@dataclass
class Vpc:
    """The subnets and security groups of a stack, and which connections pass."""

    network: IPv4Network
    subnets: Mapping[str, Subnet]
    groups: dict[str, dict[Way, list[Entry]]] = field(default_factory=dict)

    def tier(self, name: str) -> list[Subnet]:
        """The subnets of one tier, in the order of their zones."""
        return sorted((s for s in self.subnets.values() if s.tier == name), key=lambda subnet: subnet.zone)

    def place(self, name: str, subnet: Subnet, *groups: str, host: int = 10, public: bool = False) -> Place:
        """A new interface in a subnet."""
        address = subnet.network[host]
        return Place(name=name, address=address, subnet=subnet.id, groups=frozenset(groups), public=public)

    def refusals(self, source: Place, target: Place, port: int, protocol: str = "tcp") -> list[str]:
        """What stops a connection, or the answer to it; empty if nothing does."""
        return self._both(source, target, source.address, port, protocol)

    def forwarded(
        self, client: IPv4Address, balancer: Place, target: Place, port: int, *, preserved: bool
    ) -> list[str]:
        """What stops a connection that a balancer hands on, under its own address or the client's."""
        return self._both(balancer, target, client if preserved else balancer.address, port, "tcp")

    def _both(self, source: Place, target: Place, seen: IPv4Address, port: int, protocol: str) -> list[str]:
        packet = Packet(source=seen, target=target.address, port=port, protocol=protocol)
        stops = [*self._by_groups(source, target, packet), *self._path(source, target, packet)]
        for back in EPHEMERAL:
            answer = Packet(source=target.address, target=seen, port=back, protocol=protocol)
            stops += [f"answer: {stop}" for stop in self._path(target, source, answer, answers=True)]
        return list(dict.fromkeys(stops))

    def _by_groups(self, source: Place, target: Place, packet: Packet) -> Iterator[str]:
        if source.groups and not self._admits(source.groups, "egress", target.address, packet, target.groups):
            yield f"group of {source.name}, out"
        if target.groups and not self._admits(target.groups, "ingress", packet.source, packet, source.groups):
            yield f"group of {target.name}, in"

    def _admits(
        self, groups: Iterable[str], way: Way, address: IPv4Address, packet: Packet, others: Iterable[str]
    ) -> bool:
        return any(
            entry.matches(address, packet, others) for group in groups for entry in self.groups[group].get(way, [])
        )

    def _path(self, source: Place, target: Place, packet: Packet, *, answers: bool = False) -> Iterator[str]:
        """What stops one packet between two interfaces, of which one may be outside."""
        start, end = self.subnets.get(source.subnet), self.subnets.get(target.subnet)
        if start is not None and start == end:
            return
        if start is not None:
            if not start.passes("egress", packet):
                yield f"list of {start.tier}, out"
            yield from self._outward(source, target, packet, answers=answers)
        elif target.address in self.network and not target.public and not answers:
            yield f"no way in to {target.name}"
        if end is not None:
            if start is None and answers:
                yield from self._through_nat(end, target, packet)
            if not end.passes("ingress", packet):
                yield f"list of {end.tier}, in"

    def _outward(self, source: Place, target: Place, packet: Packet, *, answers: bool) -> Iterator[str]:
        """What stops a packet that leaves its subnet."""
        start, end = self.subnets[source.subnet], self.subnets.get(target.subnet)
        # A balancer gets the answer to what it handed on, whoever the answer is addressed to.
        hop = start.next_hop(target.address)
        if end is not None:
            if hop != "local":
                yield f"no route from {start.tier} to {end.tier}"
        elif not hop:
            yield f"no route from {start.tier} to the internet"
        elif hop == "internet":
            if not source.public:
                yield f"{source.name} has no public address"
        elif not answers:
            nat = self.subnets[hop]
            if not (nat.passes("ingress", packet) and nat.passes("egress", packet)):
                yield f"list of {nat.tier}, at the NAT gateway"
            if nat.next_hop(packet.target) != "internet":
                yield "the NAT gateway has no route to the internet"

    def _through_nat(self, end: Subnet, target: Place, packet: Packet) -> Iterator[str]:
        """What stops an answer from the internet on its way back through the NAT gateway."""
        hop = end.next_hop(packet.source)
        if hop in self.subnets and not target.public:
            nat = self.subnets[hop]
            if not (nat.passes("ingress", packet) and nat.passes("egress", packet)):
                yield f"list of {nat.tier}, back at the NAT gateway"


def _entry(text: Mapping[str, Any], number: int = 0) -> Entry:
    return Entry(
        network=IPv4Network(text["cidrBlock"]),
        protocol=PROTOCOLS[str(text["protocol"])],
        ports=(int(text["fromPort"]), int(text["toPort"])),
        number=number or int(text["ruleNo"]),
        allows=text["action"] == "allow",
    )


def _routes(recording: Recording, vpc: IPv4Network) -> dict[str, dict[IPv4Network, str]]:
    """By the id of a subnet."""
    nats = {f"{item.name}-id": item for item in of(recording, "NatGateway")}
    tables: dict[str, dict[IPv4Network, str]] = {}
    for item in of(recording, "Route"):
        nat = nats.get(item.inputs.get("natGatewayId", ""))
        hop = "internet" if nat is None else nat.inputs["subnetId"]
        tables.setdefault(item.inputs["routeTableId"], {})[IPv4Network(item.inputs["destinationCidrBlock"])] = hop
    return {
        item.inputs["subnetId"]: {vpc: "local", **tables.get(item.inputs["routeTableId"], {})}
        for item in of(recording, "RouteTableAssociation")
    }


def _groups(recording: Recording) -> dict[str, dict[Way, list[Entry]]]:
    """The stack's own groups; the provider removes the rule by which a new group may send everything."""
    groups: dict[str, dict[Way, list[Entry]]] = {f"{item.name}-id": {} for item in of(recording, "SecurityGroup")}
    ways: dict[str, Way] = {"SecurityGroupIngressRule": "ingress", "SecurityGroupEgressRule": "egress"}
    for kind, way in ways.items():
        for item in of(recording, kind):
            text = item.inputs
            network = text.get("cidrIpv4")
            groups.setdefault(text["securityGroupId"], {}).setdefault(way, []).append(
                Entry(
                    network=None if network is None else IPv4Network(network),
                    protocol=PROTOCOLS[str(text["ipProtocol"])],
                    ports=(int(text.get("fromPort", 0)), int(text.get("toPort", 65535))),
                    group=text.get("referencedSecurityGroupId", ""),
                )
            )
    return groups


def vpc_of(recording: Recording) -> Vpc:
    """The network of a recorded stack."""
    (whole,) = of(recording, "Vpc")
    network = IPv4Network(whole.inputs["cidrBlock"])
    lists = {
        subnet: {way: [_entry(text) for text in item.inputs[way]] for way in WAYS}
        for item in of(recording, "NetworkAcl")
        for subnet in item.inputs["subnetIds"]
    }
    routes = _routes(recording, network)
    subnets = {}
    for item in of(recording, "Subnet"):
        key = f"{item.name}-id"
        subnets[key] = Subnet(
            id=key,
            network=IPv4Network(item.inputs["cidrBlock"]),
            zone=item.inputs["availabilityZone"],
            tier=item.name.split("-")[1],
            routes=routes[key],
            lists=lists[key],
        )
    return Vpc(network=network, subnets=subnets, groups=_groups(recording))


def outside(address: str) -> Place:
    """An address on the internet."""
    return Place(name=address, address=IPv4Address(address), public=True)
