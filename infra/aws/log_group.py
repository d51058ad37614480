"""Log groups: encrypted, and with the retention of the stack, where CloudWatch's default is to keep logs for ever."""

from __future__ import annotations

import pulumi
from pulumi_aws import cloudwatch

from infra.kit.iam import Statement
from infra.kit.options import child


def log_group(
    parent: pulumi.Resource, name: str, *, path: str, days: int, key: pulumi.Input[str]
) -> cloudwatch.LogGroup:
    """Create a group at ``path``, the name under which its writers find it."""
    return cloudwatch.LogGroup(name, name=path, retention_in_days=days, kms_key_id=key, opts=child(parent))


def writing(group: cloudwatch.LogGroup) -> Statement:
    """Return the right to write to a log group."""
    return Statement(
        sid="Logs",
        actions=["logs:CreateLogStream", "logs:PutLogEvents"],
        resources=[pulumi.Output.concat(group.arn, ":*")],
    )
