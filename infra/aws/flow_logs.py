"""Flow logs: who connected to whom in the VPC, and what was refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import ec2, iam

from infra.aws.log_group import log_group
from infra.aws.scope import Scope, named
from infra.kit.iam import Statement, document, service_trust
from infra.kit.options import child

WRITE: Final = ("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents")
MINUTES: Final = 10
"""Interval between two records of a connection."""


@dataclass(frozen=True, kw_only=True)
class FlowLogsArgs:
    """The VPC, and the key for logs."""

    scope: Scope
    vpc_id: pulumi.Input[str]
    key: pulumi.Input[str]


class FlowLogs(pulumi.ComponentResource):
    """The log group, a role that may write to it, and the flow log."""

    def __init__(self, name: str, args: FlowLogsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:FlowLogs", name, {}, opts)
        scope = args.scope
        days = scope.settings.network.log_days
        group = log_group(self, f"{name}-group", path=f"/{scope.prefix}/flow", days=days, key=args.key)
        own = {"StringEquals": {"aws:SourceAccount": scope.account.id}}
        role = iam.Role(
            f"{name}-role",
            assume_role_policy=document(service_trust("vpc-flow-logs.amazonaws.com", own)),
            opts=child(self),
        )
        write = Statement(sid="Write", actions=WRITE, resources=[group.arn, pulumi.Output.concat(group.arn, ":*")])
        policy = iam.RolePolicy(f"{name}-policy", role=role.id, policy=document([write]), opts=child(self))
        ec2.FlowLog(
            f"{name}-log",
            vpc_id=args.vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=MINUTES * 60,
            tags=named(scope.prefix, "flow"),
            opts=child(self, after=[policy]),
        )
        self.register_outputs({})
