"""Log groups: encrypted, and kept for as long as the stack says, which CloudWatch by itself does for ever."""

from __future__ import annotations

import pulumi
from pulumi_aws import cloudwatch

from infra.kit.options import child


def log_group(
    parent: pulumi.Resource, name: str, *, path: str, days: int, key: pulumi.Input[str]
) -> cloudwatch.LogGroup:
    """A group at ``path``, by which whoever writes to it finds it."""
    return cloudwatch.LogGroup(name, name=path, retention_in_days=days, kms_key_id=key, opts=child(parent))
