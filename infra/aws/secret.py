"""A secret in Secrets Manager: JSON with the content of each file by its name.

The stack sets the first value; rotation or a person sets later ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi_aws import secretsmanager

from infra.aws.scope import Scope
from infra.kit.options import stateful

DAY_ZERO = ("secretString", "versionStages")
"""Properties of the first version that Pulumi must not revert, since rotation moves its stage to a newer version."""


@dataclass(frozen=True, kw_only=True)
class SecretArgs:
    """Purpose, first content and key of the secret."""

    scope: Scope
    role: str
    description: str
    key: pulumi.Input[str]
    values: Mapping[str, pulumi.Input[str]]
    tags: Mapping[str, str] = field(default_factory=dict)


class Secret(pulumi.ComponentResource):
    """The secret and its first version."""

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
            recovery_window_in_days=scope.settings.secrets.recovery_days,
            opts=stateful(self, scope.settings.state),
        )
        content: pulumi.Output[str] = pulumi.Output.secret(pulumi.Output.json_dumps(dict(args.values)))
        secretsmanager.SecretVersion(
            f"{name}-first",
            secret_id=secret.id,
            secret_string=content,
            opts=stateful(self, scope.settings.state, ignore=DAY_ZERO),
        )
        self.arn = secret.arn
        self.register_outputs({"arn": self.arn})
