"""Rotation: one function for all rotating secrets, its rights, and when Secrets Manager calls it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import cloudwatch, ec2, iam, lambda_, secretsmanager, vpc

from infra import secret_files
from infra.aws import functions
from infra.aws.addons import POLL_SECONDS
from infra.aws.first_values import FirstValuesArgs, call
from infra.aws.scope import Scope, named
from infra.aws.secret_store import SecretStore
from infra.edges import HTTPS
from infra.kit.iam import Statement
from infra.kit.options import child
from infra.secret_files import AwsSource

PACKAGE: Final = "rotation"
INTERFACES_POLICY: Final = "arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"
"""Lets Lambda put network interfaces of the function into the subnets (Lambda developer guide, configuration-vpc)."""
MOST_SECONDS: Final = 900
"""The longest that a function may run; it waits until pods have read the new files."""
SETTLE_SECONDS: Final = 2 * POLL_SECONDS + 60
"""After this every pod has a changed secret: two polls of the driver, and time for kubelets and processes to reload."""
EACH_SECRET: Final = (
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetSecretValue",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
)


@dataclass(frozen=True, kw_only=True)
class RotationArgs:
    """The secrets and their key, the network that the function runs in, and the addresses of MLflow and Grafana."""

    scope: Scope
    store: SecretStore
    secret_key: pulumi.Input[str]
    log_key: pulumi.Input[str]
    vpc_id: pulumi.Input[str]
    subnets: Sequence[pulumi.Input[str]]
    urls: Mapping[str, str]


class Rotation(pulumi.ComponentResource):
    """The function with its rights and network, its schedules, and its first call, which makes values."""

    first_values: pulumi.Resource
    """Once it exists, every secret has a value."""

    def __init__(self, name: str, args: RotationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Rotation", name, {}, opts)
        keys = args.store.sources[secret_files.API_KEYS.name]
        admin = args.store.sources[secret_files.MLFLOW_ADMIN.name]
        if not isinstance(keys, AwsSource) or not isinstance(admin, AwsSource):
            raise TypeError("rotation needs secrets in Secrets Manager")
        rotated = args.store.rotated()
        role, rights = self._role(name, args, list(args.store.own().values()))
        secrets: dict[str, pulumi.Input[str]] = {"API_KEYS_SECRET": keys.arn, "MLFLOW_ADMIN_SECRET": admin.arn}
        function = self._function(name, args, role, secrets)
        permission = lambda_.Permission(
            f"{name}-permission",
            action="lambda:InvokeFunction",
            function=function.name,
            principal="secretsmanager.amazonaws.com",
            source_account=args.scope.account.id,
            opts=child(self),
        )
        self.first_values = call(self, name, FirstValuesArgs(store=args.store, function=function, rights=rights))
        for secret, arn in rotated.items():
            secretsmanager.SecretRotation(
                f"{name}-{secret}",
                secret_id=arn,
                rotation_lambda_arn=function.arn,
                rotation_rules=secretsmanager.SecretRotationRotationRulesArgs(
                    automatically_after_days=args.scope.settings.secrets.rotation_days
                ),
                # The services may not be up yet, so the first rotation waits for the schedule. Secrets Manager calls
                # `testSecret` all the same, with the present value (API reference, RotateSecret).
                rotate_immediately=False,
                opts=child(self, after=[permission, self.first_values]),
            )
        self._retire(name, function)
        self.register_outputs({})

    def _role(self, name: str, args: RotationArgs, secrets: list[pulumi.Input[str]]) -> tuple[iam.Role, iam.RolePolicy]:
        allowed = [
            Statement(sid="Secrets", actions=EACH_SECRET, resources=secrets),
            Statement(sid="Key", actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[args.secret_key]),
        ]
        if args.store.copy_key is not None:
            # Whoever has a secret copied needs these (API reference, ReplicateSecretToRegions).
            copying = ["kms:Encrypt", "kms:GenerateDataKey"]
            allowed.append(Statement(sid="CopyKey", actions=copying, resources=[args.store.copy_key]))
        role_args = functions.RoleArgs(scope=args.scope, package=PACKAGE, log_key=args.log_key, statements=allowed)
        return functions.role(self, name, role_args)

    def _group(self, name: str, args: RotationArgs) -> ec2.SecurityGroup:
        """Create the function's security group: it sends HTTPS within the VPC, and nothing is sent to it."""
        group = ec2.SecurityGroup(
            f"{name}-group",
            vpc_id=args.vpc_id,
            description="Rotation: HTTPS to the internal balancer and to endpoints",
            tags=named(args.scope.prefix, "rotation"),
            opts=child(self),
        )
        vpc.SecurityGroupEgressRule(
            f"{name}-https",
            security_group_id=group.id,
            description="To the VPC",
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            cidr_ipv4=args.scope.addresses.vpc,
            opts=child(self),
        )
        return group

    def _function(
        self, name: str, args: RotationArgs, role: iam.Role, secrets: Mapping[str, pulumi.Input[str]]
    ) -> lambda_.Function:
        settings = args.scope.settings.secrets
        # Lambda refuses a function in a VPC whose role may not make network interfaces.
        interfaces = iam.RolePolicyAttachment(
            f"{name}-interfaces", role=role.name, policy_arn=INTERFACES_POLICY, opts=child(self)
        )
        environment: dict[str, pulumi.Input[str]] = {
            "OVERLAP_DAYS": str(settings.overlap_days),
            "SETTLE_SECONDS": str(SETTLE_SECONDS),
            "MLFLOW_URL": args.urls["mlflow"],
            "GRAFANA_URL": args.urls["grafana"],
            "API_CLIENT_SECRETS": pulumi.Output.json_dumps(args.store.clients),
            **secrets,
        }
        function_args = functions.FunctionArgs(
            scope=args.scope,
            package=PACKAGE,
            description="Rotates API keys and logins: ops/jobs/rotation",
            role=role,
            key=args.secret_key,
            seconds=MOST_SECONDS,
            mebibytes=256,
            variables=environment,
            # MLflow and Grafana are not public; Secrets Manager has an endpoint in these subnets.
            network=lambda_.FunctionVpcConfigArgs(
                subnet_ids=list(args.subnets), security_group_ids=[self._group(name, args).id]
            ),
        )
        return functions.function(self, name, function_args, after=[interfaces])

    def _retire(self, name: str, function: lambda_.Function) -> None:
        rule = cloudwatch.EventRule(
            f"{name}-daily",
            description="Ends API keys whose overlap is over",
            schedule_expression="rate(1 day)",
            opts=child(self),
        )
        functions.call_by(self, rule, f"{name}-daily", function, '{"action": "retire"}')
