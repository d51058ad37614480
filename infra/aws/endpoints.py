"""VPC endpoints for the services that pods use most: their traffic bypasses the NAT gateways, which bill for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import ec2, vpc

from infra.aws import endpoint_policies
from infra.aws.scope import Scope, named
from infra.edges import HTTPS
from infra.kit.options import child

GATEWAYS: Final = {"s3": "s3"}
INTERFACES: Final = {
    "ecr-api": "ecr.api",
    "ecr-images": "ecr.dkr",
    "sts": "sts",
    "secrets": "secretsmanager",
    "logs": "logs",
    "keys": "kms",
    "ec2": "ec2",
    "balancers": "elasticloadbalancing",
}
"""Names of AWS's services by our own names."""


@dataclass(frozen=True, kw_only=True)
class EndpointsArgs:
    """The VPC, the subnets in which endpoints have addresses, and the route tables that get a route to S3."""

    scope: Scope
    vpc_id: pulumi.Input[str]
    subnets: Sequence[pulumi.Input[str]]
    route_tables: Sequence[pulumi.Input[str]]


class Endpoints(pulumi.ComponentResource):
    """A gateway for S3, and interfaces that are reachable from within the VPC."""

    def __init__(self, name: str, args: EndpointsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Endpoints", name, {}, opts)
        scope = args.scope
        for role, service in GATEWAYS.items():
            ec2.VpcEndpoint(
                f"{name}-{role}",
                vpc_id=args.vpc_id,
                vpc_endpoint_type="Gateway",
                service_name=f"com.amazonaws.{scope.region}.{service}",
                route_table_ids=list(args.route_tables),
                policy=endpoint_policies.of_buckets(scope.account.id),
                tags=named(scope.prefix, role),
                opts=child(self),
            )
        group = ec2.SecurityGroup(
            f"{name}-group",
            vpc_id=args.vpc_id,
            description="Interface endpoints: HTTPS from the VPC",
            tags=named(scope.prefix, "endpoints"),
            opts=child(self),
        )
        vpc.SecurityGroupIngressRule(
            f"{name}-https",
            security_group_id=group.id,
            description="From the VPC",
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            cidr_ipv4=scope.addresses.vpc,
            opts=child(self),
        )
        for role, service in INTERFACES.items():
            ec2.VpcEndpoint(
                f"{name}-{role}",
                vpc_id=args.vpc_id,
                vpc_endpoint_type="Interface",
                service_name=f"com.amazonaws.{scope.region}.{service}",
                subnet_ids=list(args.subnets),
                security_group_ids=[group.id],
                private_dns_enabled=True,
                policy=endpoint_policies.of_interface(service, scope.account.id),
                tags=named(scope.prefix, role),
                opts=child(self),
            )
        self.register_outputs({})
