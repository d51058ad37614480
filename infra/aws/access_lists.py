"""Network access lists: a second, stateless barrier around each tier of subnets, besides security groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_aws import ec2

from infra.aws.scope import Scope, named
from infra.kit.options import child

ANYWHERE: Final = "0.0.0.0/0"
EPHEMERAL: Final = (1024, 65535)
"""Ports at which answers arrive."""
POSTGRES: Final = (5432, 5432)
EDGE: Final = (80, 443)
"""Ports of the load balancers, and of the pods behind them."""
ALL: Final = "-1"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Traffic that may pass; anything without a rule is refused."""

    cidr: str
    ports: tuple[int, int] | None = None
    protocol: str = "tcp"


def rules(vpc: str, private: Sequence[str], *, direct: bool) -> dict[str, tuple[list[Rule], list[Rule]]]:
    """Return what may enter and leave each tier: its rules for incoming and for outgoing traffic.

    With ``direct``, an NLB hands clients' packets on to pods under the clients' own addresses, so the private subnets
    must admit them at the edge's ports; security groups admit them from the NLB alone (docs/adr/0020).

    Public subnets contain load balancers and NAT gateways; private ones contain nodes and pods, which reach the
    internet through the NAT gateways; the database's subnets exchange PostgreSQL traffic with the private ones and
    nothing else.
    """
    world = [Rule(cidr=ANYWHERE, ports=EPHEMERAL), Rule(cidr=ANYWHERE, ports=EPHEMERAL, protocol="udp")]
    everything = [Rule(cidr=ANYWHERE, protocol=ALL)]
    inside = Rule(cidr=vpc, protocol=ALL)
    edge = [Rule(cidr=ANYWHERE, ports=(port, port)) for port in EDGE]
    return {
        "public": ([inside, *edge, *world], everything),
        "private": ([inside, *(edge if direct else []), *world], everything),
        "database": (
            [Rule(cidr=cidr, ports=POSTGRES) for cidr in private],
            [Rule(cidr=cidr, ports=EPHEMERAL) for cidr in private],
        ),
    }


@dataclass(frozen=True, kw_only=True)
class AccessListsArgs:
    """The VPC and its subnets by tier."""

    scope: Scope
    vpc_id: pulumi.Input[str]
    subnets: Mapping[str, Sequence[pulumi.Input[str]]]


class AccessLists(pulumi.ComponentResource):
    """One list for each tier."""

    def __init__(self, name: str, args: AccessListsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:AccessLists", name, {}, opts)
        plan, settings = args.scope.addresses, args.scope.settings
        # With managed nodes the NLB sends to ports of nodes, which are above 30000.
        direct = settings.edge.balancer == "nlb" and settings.eks.nodes == "auto"
        for tier, (incoming, outgoing) in rules(plan.vpc, plan.private, direct=direct).items():
            ec2.NetworkAcl(
                f"{name}-{tier}",
                vpc_id=args.vpc_id,
                subnet_ids=list(args.subnets[tier]),
                ingress=[ec2.NetworkAclIngressArgs(**_entry(number, rule)) for number, rule in _numbered(incoming)],
                egress=[ec2.NetworkAclEgressArgs(**_entry(number, rule)) for number, rule in _numbered(outgoing)],
                tags=named(args.scope.prefix, tier),
                opts=child(self),
            )
        self.register_outputs({})


def _numbered(rules_of_tier: Sequence[Rule]) -> list[tuple[int, Rule]]:
    return [(100 + 10 * index, rule) for index, rule in enumerate(rules_of_tier)]


def _entry(number: int, rule: Rule) -> dict[str, Any]:
    first, last = rule.ports or (0, 0)
    return {
        "rule_no": number,
        "action": "allow",
        "protocol": rule.protocol,
        "cidr_block": rule.cidr,
        "from_port": first,
        "to_port": last,
    }
