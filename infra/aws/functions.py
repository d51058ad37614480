"""What the stack's Lambda functions have in common: their source, role and logs, and rules that call them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pulumi
from pulumi_aws import cloudwatch, iam, lambda_

from infra.aws.log_group import log_group, writing
from infra.aws.scope import Scope
from infra.kit.iam import Statement, document, service_trust
from infra.kit.options import child

CODE: Final = Path(__file__).parents[2] / "ops" / "jobs"
"""Folder of the functions' packages, whose only dependency is boto3, which the runtime provides."""
RUNTIME: Final = "python3.13"


def files(package: str) -> dict[str, str]:
    """Return the source of a function by its path in the archive."""
    modules = sorted((CODE / package).glob("*.py"))
    return {f"{package}/{path.name}": path.read_text(encoding="utf-8") for path in modules}


def handler(package: str) -> str:
    """Return what Lambda calls."""
    return f"{package}.handler.handle"


@dataclass(frozen=True, kw_only=True)
class FunctionArgs:
    """The package in `CODE`, with which the function shares its name; its environment is encrypted with ``key``."""

    scope: Scope
    package: str
    description: str
    role: iam.Role
    key: pulumi.Input[str]
    seconds: int
    mebibytes: int
    variables: Mapping[str, pulumi.Input[str]]
    network: lambda_.FunctionVpcConfigArgs | None = None


def function(
    parent: pulumi.Resource, name: str, args: FunctionArgs, after: Sequence[pulumi.Resource] = ()
) -> lambda_.Function:
    """Create a function."""
    return lambda_.Function(
        f"{name}-function",
        name=f"{args.scope.prefix}-{args.package}",
        description=args.description,
        runtime=RUNTIME,
        architectures=["arm64"],
        handler=handler(args.package),
        code=pulumi.AssetArchive({path: pulumi.StringAsset(text) for path, text in files(args.package).items()}),
        role=args.role.arn,
        timeout=args.seconds,
        memory_size=args.mebibytes,
        vpc_config=args.network,
        environment=lambda_.FunctionEnvironmentArgs(variables=args.variables),
        kms_key_arn=args.key,
        tracing_config=lambda_.FunctionTracingConfigArgs(mode="PassThrough"),
        opts=child(parent, after=after),
    )


@dataclass(frozen=True, kw_only=True)
class RoleArgs:
    """What a function may do besides writing its logs, which are encrypted with ``log_key``."""

    scope: Scope
    package: str
    log_key: pulumi.Input[str]
    statements: Sequence[Statement]


def role(parent: pulumi.Resource, name: str, args: RoleArgs) -> tuple[iam.Role, iam.RolePolicy]:
    """Create a function's log group, and its role with the policy that has its rights."""
    path, days = f"/aws/lambda/{args.scope.prefix}-{args.package}", args.scope.settings.network.log_days
    group = log_group(parent, f"{name}-logs", path=path, days=days, key=args.log_key)
    own = iam.Role(
        f"{name}-role", assume_role_policy=document(service_trust("lambda.amazonaws.com")), opts=child(parent)
    )
    allowed = [*args.statements, writing(group)]
    return own, iam.RolePolicy(f"{name}-policy", role=own.id, policy=document(allowed), opts=child(parent))


def call_by(
    parent: pulumi.Resource,
    rule: cloudwatch.EventRule,
    name: str,
    target: lambda_.Function,
    event: str | None = None,
) -> None:
    """Let a rule of EventBridge call a function, with its own event or a constant one; ``name`` is the rule's."""
    cloudwatch.EventTarget(f"{name}-target", rule=rule.name, arn=target.arn, input=event, opts=child(parent))
    lambda_.Permission(
        f"{name}-permission",
        action="lambda:InvokeFunction",
        function=target.name,
        principal="events.amazonaws.com",
        source_arn=rule.arn,
        opts=child(parent),
    )
