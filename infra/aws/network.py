"""The VPC: public, private and isolated database subnets in every zone, and the routes between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_aws import ec2

from infra.aws.access_lists import AccessLists, AccessListsArgs
from infra.aws.endpoints import Endpoints, EndpointsArgs
from infra.aws.flow_logs import FlowLogs, FlowLogsArgs
from infra.aws.scope import Scope, named
from infra.kit.options import child

PUBLIC_ROLE: Final = {"kubernetes.io/role/elb": "1"}
PRIVATE_ROLE: Final = {"kubernetes.io/role/internal-elb": "1"}
"""Tags by which load balancers find their subnets."""
ANYWHERE: Final = "0.0.0.0/0"


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """The stack, and the key for its logs."""

    scope: Scope
    log_key: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class _Tier:
    """Subnets of one kind, one in each zone."""

    name: str
    cidrs: Sequence[str]
    tags: Mapping[str, str] = field(default_factory=dict)


class Network(pulumi.ComponentResource):
    """VPC, subnets, gateways, routes, endpoints, access lists and flow logs."""

    vpc_id: pulumi.Output[str]
    public_subnets: list[pulumi.Output[str]]
    private_subnets: list[pulumi.Output[str]]
    database_subnets: list[pulumi.Output[str]]
    nat_gateways: list[pulumi.Output[str]]
    ready: pulumi.Resource
    """Nodes need the routes to the internet, so whatever runs on them is created after it and deleted before it."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Network", name, {}, opts)
        scope, plan = args.scope, args.scope.addresses
        vpc = ec2.Vpc(
            f"{name}-vpc",
            cidr_block=plan.vpc,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=named(scope.prefix, "vpc"),
            opts=child(self),
        )
        # A resource without a security group of its own can reach nothing and is reached by nothing.
        ec2.DefaultSecurityGroup(
            f"{name}-default",
            vpc_id=vpc.id,
            ingress=[],
            egress=[],
            tags=named(scope.prefix, "unused"),
            opts=child(self),
        )
        tiers = {
            "public": self._subnets(name, scope, vpc, _Tier(name="public", cidrs=plan.public, tags=PUBLIC_ROLE)),
            "private": self._subnets(name, scope, vpc, _Tier(name="private", cidrs=plan.private, tags=PRIVATE_ROLE)),
            "database": self._subnets(name, scope, vpc, _Tier(name="database", cidrs=plan.database)),
        }
        tables = self._routes(name, scope, vpc, tiers)
        self._attachments(name, args, vpc, tiers, tables)
        self.vpc_id = vpc.id
        self.public_subnets = [subnet.id for subnet in tiers["public"]]
        self.private_subnets = [subnet.id for subnet in tiers["private"]]
        self.database_subnets = [subnet.id for subnet in tiers["database"]]
        self.ready = self
        self.register_outputs({"vpc_id": self.vpc_id})

    def _subnets(self, name: str, scope: Scope, vpc: ec2.Vpc, tier: _Tier) -> list[ec2.Subnet]:
        return [
            ec2.Subnet(
                f"{name}-{tier.name}-{index}",
                vpc_id=vpc.id,
                cidr_block=cidr,
                availability_zone=zone,
                map_public_ip_on_launch=False,
                tags=named(scope.prefix, f"{tier.name}-{index}") | dict(tier.tags),
                opts=child(self),
            )
            for index, (zone, cidr) in enumerate(zip(scope.account.zones, tier.cidrs, strict=True), start=1)
        ]

    def _routes(
        self, name: str, scope: Scope, vpc: ec2.Vpc, tiers: dict[str, list[ec2.Subnet]]
    ) -> list[ec2.RouteTable]:
        gateway = ec2.InternetGateway(
            f"{name}-internet", vpc_id=vpc.id, tags=named(scope.prefix, "internet"), opts=child(self)
        )
        public = self._table(name, "public", scope, vpc)
        self._default_route(name, "public", public, gateway_id=gateway.id)
        for index, subnet in enumerate(tiers["public"], start=1):
            self._associate(name, f"public-{index}", public, subnet)
        # It has no route but the VPC's own.
        database = self._table(name, "database", scope, vpc)
        for index, subnet in enumerate(tiers["database"], start=1):
            self._associate(name, f"database-{index}", database, subnet)
        nats = self._nats(name, scope, tiers["public"], gateway)
        tables = []
        for index, subnet in enumerate(tiers["private"], start=1):
            table = self._table(name, f"private-{index}", scope, vpc)
            nat = nats[min(index, len(nats)) - 1]
            self._default_route(name, f"private-{index}", table, nat_gateway_id=nat.id)
            self._associate(name, f"private-{index}", table, subnet)
            tables.append(table)
        return [*tables, database]

    def _nats(
        self, name: str, scope: Scope, public: list[ec2.Subnet], gateway: ec2.InternetGateway
    ) -> list[ec2.NatGateway]:
        """Create one gateway, or one in each zone; if there is only one, the loss of its zone cuts off all others."""
        count = 1 if scope.settings.network.nat == "one" else len(public)
        gateways = []
        for index, subnet in enumerate(public[:count], start=1):
            tags = named(scope.prefix, f"nat-{index}")
            address = ec2.Eip(f"{name}-nat-address-{index}", domain="vpc", tags=tags, opts=child(self, after=[gateway]))
            gateways.append(
                ec2.NatGateway(
                    f"{name}-nat-{index}",
                    subnet_id=subnet.id,
                    allocation_id=address.allocation_id,
                    tags=tags,
                    opts=child(self, after=[gateway]),
                )
            )
        self.nat_gateways = [nat.id for nat in gateways]
        return gateways

    def _table(self, name: str, role: str, scope: Scope, vpc: ec2.Vpc) -> ec2.RouteTable:
        return ec2.RouteTable(f"{name}-{role}", vpc_id=vpc.id, tags=named(scope.prefix, role), opts=child(self))

    def _default_route(
        self,
        name: str,
        role: str,
        table: ec2.RouteTable,
        *,
        gateway_id: pulumi.Input[str] | None = None,
        nat_gateway_id: pulumi.Input[str] | None = None,
    ) -> None:
        ec2.Route(
            f"{name}-{role}-default",
            route_table_id=table.id,
            destination_cidr_block=ANYWHERE,
            gateway_id=gateway_id,
            nat_gateway_id=nat_gateway_id,
            opts=child(self),
        )

    def _associate(self, name: str, role: str, table: ec2.RouteTable, subnet: ec2.Subnet) -> None:
        ec2.RouteTableAssociation(
            f"{name}-{role}-table", route_table_id=table.id, subnet_id=subnet.id, opts=child(self)
        )

    def _attachments(
        self,
        name: str,
        args: NetworkArgs,
        vpc: ec2.Vpc,
        tiers: dict[str, list[ec2.Subnet]],
        tables: list[ec2.RouteTable],
    ) -> None:
        inside = pulumi.ResourceOptions(parent=self)
        ids = {tier: [subnet.id for subnet in subnets] for tier, subnets in tiers.items()}
        AccessLists(f"{name}-lists", AccessListsArgs(scope=args.scope, vpc_id=vpc.id, subnets=ids), inside)
        endpoints = EndpointsArgs(
            scope=args.scope, vpc_id=vpc.id, subnets=ids["private"], route_tables=[table.id for table in tables]
        )
        Endpoints(f"{name}-endpoints", endpoints, inside)
        FlowLogs(f"{name}-flow", FlowLogsArgs(scope=args.scope, vpc_id=vpc.id, key=args.log_key), inside)
