"""A secret in Secrets Manager, without a value: JSON with the content of each file by its name will be in it.

The program never writes a value. A version that it tracked would vanish after two other writes, and the next update
would write it again as the current one; see `ops/jobs/rotation/reconcile.py`, which makes the first value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi_aws import secretsmanager

from infra.aws.scope import Scope
from infra.kit.options import child, stateful


@dataclass(frozen=True, kw_only=True)
class SecretArgs:
    """Purpose and key of the secret."""

    scope: Scope
    role: str
    description: str
    key: pulumi.Input[str]
    tags: Mapping[str, str] = field(default_factory=dict)
    replicas: Sequence[secretsmanager.SecretReplicaArgs] = ()
    """Where Secrets Manager maintains copies."""
    keep: bool = True
    """Whether it is protected where the stack protects its state; a deleted one can be recovered for a while anyway."""


class Secret(pulumi.ComponentResource):
    """The secret."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: SecretArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Secret", name, {}, opts)
        scope = args.scope
        secret = secretsmanager.Secret(
            f"{name}-secret",
            # A name stays taken while a deleted secret can be recovered, so AWS adds an ending of its own.
            name_prefix=f"{scope.prefix}/{args.role}-",
            description=args.description,
            kms_key_id=args.key,
            tags=dict(args.tags),
            replicas=list(args.replicas) or None,
            recovery_window_in_days=scope.settings.secrets.recovery_days,
            opts=stateful(self, scope.settings.state) if args.keep else child(self),
        )
        self.arn = secret.arn
        self.register_outputs({"arn": self.arn})
