"""A second copy of a bucket in another region, maintained by S3 itself, in case a whole region is lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import pulumi
from pulumi_aws import iam, kms, s3

from infra.aws.bucket import Bucket, BucketArgs
from infra.aws.keys import customer_key
from infra.aws.scope import Scope
from infra.kit.iam import Statement, document, service_trust
from infra.kit.options import child

RULE: Final = "all"
"""Name of the one rule, which the figures of CloudWatch have as a dimension."""


@dataclass(frozen=True, kw_only=True)
class CopyArgs:
    """The source and how it was configured, and the region of the copy."""

    scope: Scope
    region: str
    source: Bucket
    source_key: pulumi.Input[str]
    like: BucketArgs


class Copy(pulumi.ComponentResource):
    """Key and bucket in the other region, and the role and rule by which S3 fills the bucket."""

    def __init__(self, name: str, args: CopyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Copy", name, {}, opts)
        scope = args.scope
        key = customer_key(self, f"{name}-key", scope, "Second copy of the backups", region=args.region)
        bucket = scope.bucket("backups-copy", args.region)
        like = replace(args.like, bucket=bucket, key=key.arn, region=args.region, logs=None)
        target = Bucket(f"{name}-target", like, pulumi.ResourceOptions(parent=self))
        self._rule(name, args, key, target, self._role(name, args, key, target))
        self.register_outputs({})

    def _role(self, name: str, args: CopyArgs, key: kms.Key, target: Bucket) -> iam.Role:
        own = {"StringEquals": {"aws:SourceAccount": args.scope.account.id}}
        role = iam.Role(
            f"{name}-role", assume_role_policy=document(service_trust("s3.amazonaws.com", own)), opts=child(self)
        )
        iam.RolePolicy(
            f"{name}-policy",
            role=role.id,
            policy=document(rights(args.source.arn, args.source_key, target.arn, key.arn)),
            opts=child(self),
        )
        return role

    def _rule(self, name: str, args: CopyArgs, key: kms.Key, target: Bucket, role: iam.Role) -> None:
        encrypted = s3.BucketReplicationConfigRuleSourceSelectionCriteriaSseKmsEncryptedObjectsArgs(status="Enabled")
        s3.BucketReplicationConfig(
            f"{name}-replication",
            bucket=args.source.id,
            role=role.arn,
            rules=[
                s3.BucketReplicationConfigRuleArgs(
                    id=RULE,
                    status="Enabled",
                    filter=s3.BucketReplicationConfigRuleFilterArgs(prefix=""),
                    delete_marker_replication=s3.BucketReplicationConfigRuleDeleteMarkerReplicationArgs(
                        status="Disabled"
                    ),
                    source_selection_criteria=s3.BucketReplicationConfigRuleSourceSelectionCriteriaArgs(
                        sse_kms_encrypted_objects=encrypted
                    ),
                    destination=s3.BucketReplicationConfigRuleDestinationArgs(
                        bucket=target.arn,
                        storage_class="STANDARD_IA",
                        # Alarms are on these figures.
                        metrics=s3.BucketReplicationConfigRuleDestinationMetricsArgs(status="Enabled"),
                        encryption_configuration=s3.BucketReplicationConfigRuleDestinationEncryptionConfigurationArgs(
                            replica_kms_key_id=key.arn
                        ),
                    ),
                )
            ],
            opts=child(self, after=[args.source.versions, target.versions]),
        )


def rights(
    source: pulumi.Input[str], source_key: pulumi.Input[str], target: pulumi.Input[str], target_key: pulumi.Input[str]
) -> list[Statement]:
    """Return the rights that S3 needs to copy versions from one bucket to another."""
    return [
        Statement(sid="List", actions=["s3:GetReplicationConfiguration", "s3:ListBucket"], resources=[source]),
        Statement(
            sid="Read",
            actions=[
                "s3:GetObjectLegalHold",
                "s3:GetObjectRetention",
                "s3:GetObjectVersionAcl",
                "s3:GetObjectVersionForReplication",
                "s3:GetObjectVersionTagging",
            ],
            resources=[pulumi.Output.concat(source, "/*")],
        ),
        Statement(
            sid="Write",
            actions=["s3:ReplicateObject", "s3:ReplicateTags"],
            resources=[pulumi.Output.concat(target, "/*")],
        ),
        Statement(sid="Decrypt", actions=["kms:Decrypt"], resources=[source_key]),
        Statement(sid="Encrypt", actions=["kms:Encrypt"], resources=[target_key]),
    ]
