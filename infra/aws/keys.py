"""Encryption keys: one each for data, secrets, logs and the cluster, so that rights to them can differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import kms

from infra.aws.alarms import key_use
from infra.aws.scope import Scope
from infra.kit.iam import Statement, document
from infra.kit.options import child, stateful

USE: Final = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
_ADMINISTRATION: Final = (
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:CreateGrant",
    "kms:DeleteAlias",
    "kms:DisableKey",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:RevokeGrant",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
)
LAUNCHER: Final = "aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
"""The role with which Auto Scaling launches the nodes of managed groups. A fresh account lacks it, and KMS refuses a
policy that names a role which does not exist, so `ops.stack.bootstrap` creates it (terraform-aws-eks #1619, #3013)."""
DELETION_DAYS: Final = 30
"""How long the deletion of a key can be cancelled; afterwards everything encrypted with it is lost."""


def policy(account_root: str, logs: str | None = None, log_arns: str | None = None) -> list[Statement]:
    """Return who may use a key: whoever the account's IAM policies allow, and CloudWatch for the key of logs.

    In a key's policy the resource `*` means the key itself.
    """
    statements = [
        Statement(
            sid="Account",
            actions=[*_ADMINISTRATION, *USE],
            resources=["*"],
            principals={"AWS": [account_root]},
        )
    ]
    if logs is not None and log_arns is not None:
        statements.append(
            Statement(
                sid="Logs",
                actions=USE,
                resources=["*"],
                principals={"Service": [logs]},
                conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": log_arns}},
            )
        )
    return statements


def launching(role: str) -> list[Statement]:
    """Return what Auto Scaling's role needs to launch nodes whose disks are encrypted with a key.

    AWS's managed policies give it no right to a key of ours (EC2 Auto Scaling, "Required AWS KMS key policy for use
    with encrypted volumes").
    """
    return [
        Statement(sid="Launch", actions=USE, resources=["*"], principals={"AWS": [role]}),
        Statement(
            sid="LaunchWithDisks",
            actions=["kms:CreateGrant"],
            resources=["*"],
            principals={"AWS": [role]},
            conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    ]


def customer_key(
    parent: pulumi.Resource,
    name: str,
    scope: Scope,
    description: str,
    statements: list[Statement] | None = None,
    region: str | None = None,
) -> kms.Key:
    """Create a key that rotates; by default its policy leaves rights to IAM, and it is in the stack's region."""
    return kms.Key(
        name,
        region=region,
        description=f"{scope.prefix}: {description}",
        enable_key_rotation=True,
        deletion_window_in_days=DELETION_DAYS,
        policy=document(policy(scope.account_root) if statements is None else statements),
        opts=stateful(parent, scope.settings.state),
    )


@dataclass(frozen=True, kw_only=True)
class KeysArgs:
    """The stack and its account."""

    scope: Scope


class Keys(pulumi.ComponentResource):
    """A key for each purpose, with an alias, yearly rotation, and a month before a deletion is final."""

    data: pulumi.Output[str]
    secrets: pulumi.Output[str]
    logs: pulumi.Output[str]
    cluster: pulumi.Output[str]
    """This and the others are ARNs."""

    def __init__(self, name: str, args: KeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Keys", name, {}, opts)
        scope = args.scope
        service, arns = f"logs.{scope.region}.amazonaws.com", scope.arn("logs", "log-group:*")
        plain = policy(scope.account_root)
        managed = scope.settings.eks.nodes == "managed"
        launcher = f"arn:aws:iam::{scope.account.id}:role/{LAUNCHER}"
        disks = [*plain, *launching(launcher)] if managed else plain
        self.data = self._key(name, "data", "Buckets, databases and volumes", disks, scope)
        self.secrets = self._key(name, "secrets", "Secrets Manager", plain, scope)
        logs = [*policy(scope.account_root, service, arns), key_use(scope)]
        self.logs = self._key(name, "logs", "CloudWatch logs and alarms", logs, scope)
        self.cluster = self._key(name, "cluster", "Secrets inside of Kubernetes", plain, scope)
        self.register_outputs({})

    def _key(
        self, name: str, role: str, description: str, statements: list[Statement], scope: Scope
    ) -> pulumi.Output[str]:
        key = customer_key(self, f"{name}-{role}", scope, description, statements)
        kms.Alias(
            f"{name}-{role}-alias", name=f"alias/{scope.prefix}-{role}", target_key_id=key.key_id, opts=child(self)
        )
        return key.arn
