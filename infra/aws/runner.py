"""A runner for GitHub's workflows inside the VPC, from where it reaches an API server that is private.

AWS CodeBuild starts it for each job that asks for it by the project's name. It has no rights of its own beyond that: a
job still assumes the workflow's role by its OIDC token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import cloudwatch, codebuild, ec2, iam, vpc

from infra.aws.access_lists import ANYWHERE
from infra.aws.log_group import log_group, writing
from infra.aws.scope import Scope, named
from infra.edges import HTTPS
from infra.kit.iam import Statement, document, service_trust
from infra.kit.options import child

IMAGE: Final = "aws/codebuild/standard:7.0"
"""Ubuntu, for which `actions/setup-python` has builds."""
SIZE: Final = "BUILD_GENERAL1_MEDIUM"
MINUTES: Final = 60
"""The longest job of a workflow."""
DESCRIBE_POLICY: Final = "arn:aws:iam::aws:policy/AmazonVPCReadOnlyAccess"
"""CodeBuild looks the subnets and groups up; these actions cannot be limited to single resources."""


@dataclass(frozen=True, kw_only=True)
class RunnerArgs:
    """The network, the group of the cluster whose API server it reaches, and the key for logs."""

    scope: Scope
    vpc_id: pulumi.Input[str]
    subnets: Sequence[pulumi.Input[str]]
    cluster_group: pulumi.Input[str]
    log_key: pulumi.Input[str]


class Runner(pulumi.ComponentResource):
    """The project with its webhook, role, logs and security group, and its way to the API server."""

    def __init__(self, name: str, args: RunnerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Runner", name, {}, opts)
        settings = args.scope.settings.runner
        group = self._group(name, args)
        path = f"/aws/codebuild/{args.scope.prefix}-runner"
        logs = log_group(self, f"{name}-logs", path=path, days=args.scope.settings.network.log_days, key=args.log_key)
        role = iam.Role(
            f"{name}-role", assume_role_policy=document(service_trust("codebuild.amazonaws.com")), opts=child(self)
        )
        # CodeBuild checks both when it creates the project.
        rights: list[pulumi.Resource] = [
            iam.RolePolicy(
                f"{name}-policy", role=role.id, policy=document(statements(args, logs, group.id)), opts=child(self)
            ),
            iam.RolePolicyAttachment(f"{name}-describe", role=role.name, policy_arn=DESCRIBE_POLICY, opts=child(self)),
        ]
        project = codebuild.Project(
            f"{name}-project",
            name=f"{args.scope.prefix}-runner",
            description="Runs jobs of GitHub's workflows inside the VPC",
            service_role=role.arn,
            artifacts=codebuild.ProjectArtifactsArgs(type="NO_ARTIFACTS"),
            environment=codebuild.ProjectEnvironmentArgs(compute_type=SIZE, image=IMAGE, type="LINUX_CONTAINER"),
            source=codebuild.ProjectSourceArgs(
                type="GITHUB",
                location=f"https://github.com/{settings.repository}.git",
                auth=codebuild.ProjectSourceAuthArgs(type="CODECONNECTIONS", resource=settings.connection),
            ),
            vpc_config=codebuild.ProjectVpcConfigArgs(
                vpc_id=args.vpc_id, subnets=list(args.subnets), security_group_ids=[group.id]
            ),
            logs_config=codebuild.ProjectLogsConfigArgs(
                cloudwatch_logs=codebuild.ProjectLogsConfigCloudwatchLogsArgs(group_name=logs.name)
            ),
            build_timeout=MINUTES,
            opts=child(self, after=rights),
        )
        queued = codebuild.WebhookFilterGroupFilterArgs(type="EVENT", pattern="WORKFLOW_JOB_QUEUED")
        codebuild.Webhook(
            f"{name}-webhook",
            project_name=project.name,
            filter_groups=[codebuild.WebhookFilterGroupArgs(filters=[queued])],
            opts=child(self),
        )
        self.register_outputs({})

    def _group(self, name: str, args: RunnerArgs) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            f"{name}-group",
            vpc_id=args.vpc_id,
            description="Runner: HTTPS out, and nothing in",
            tags=named(args.scope.prefix, "runner"),
            opts=child(self),
        )
        vpc.SecurityGroupEgressRule(
            f"{name}-https",
            security_group_id=group.id,
            description="To GitHub, AWS, registries and the API server",
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            cidr_ipv4=ANYWHERE,
            opts=child(self),
        )
        vpc.SecurityGroupIngressRule(
            f"{name}-api-server",
            security_group_id=args.cluster_group,
            description="API server from the runner",
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            referenced_security_group_id=group.id,
            opts=child(self),
        )
        return group


def statements(args: RunnerArgs, logs: cloudwatch.LogGroup, group: pulumi.Input[str]) -> list[Statement]:
    """Return what CodeBuild itself may do: write logs, read the repository's connection, be in the subnets.

    The actions are those that the CodeBuild user guide lists for projects in a VPC and for connections.
    """
    scope = args.scope
    interfaces = scope.arn("ec2", "network-interface/*")
    subnets = [pulumi.Output.concat(scope.arn("ec2", "subnet/"), subnet) for subnet in args.subnets]
    return [
        writing(logs),
        Statement(
            sid="Repository",
            actions=["codeconnections:GetConnection", "codeconnections:GetConnectionToken"],
            resources=[scope.settings.runner.connection],
        ),
        Statement(
            sid="Interfaces",
            actions=["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"],
            resources=[interfaces, *subnets, pulumi.Output.concat(scope.arn("ec2", "security-group/"), group)],
        ),
        Statement(
            sid="HandOver",
            actions=["ec2:CreateNetworkInterfacePermission"],
            resources=[interfaces],
            conditions={
                "StringEquals": {"ec2:AuthorizedService": "codebuild.amazonaws.com"},
                "ArnEquals": {"ec2:Subnet": pulumi.Output.all(*subnets)},
            },
        ),
    ]
