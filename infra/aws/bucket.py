"""A bucket that does not lose data: versioned, encrypted, closed to the public and to plain HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import s3

from infra.aws.scope import Scope
from infra.kit.iam import Statement, document
from infra.kit.options import child, stateful

UPLOAD_DAYS = 7
"""After how many days an unfinished upload is removed; its parts are billed until then."""
OLD_VERSION_DAYS = 35
"""How long an overwritten or deleted object can be recovered: the last 30 days, and some for whoever has to act."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A cheaper storage class, and after how many days objects move to it."""

    days: int
    storage_class: str


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A tag on objects that may expire."""

    key: str
    value: str


@dataclass(frozen=True, kw_only=True)
class BucketArgs:
    """Name, key and lifecycle of a bucket; without a key S3 encrypts with its own, which log delivery requires."""

    scope: Scope
    bucket: str
    key: pulumi.Input[str] | None
    stages: Sequence[Stage] = ()
    expire_days: int | None = None
    expire_mark: Mark | None = None
    """Tag of the objects that expire at that age; without one, all objects do."""
    lock_days: int | None = None
    """How long nobody can delete a version, not even the owner of the account."""
    logs: pulumi.Input[str] | None = None
    """The bucket that receives access logs."""
    statements: Sequence[Statement] = ()
    """Statements of its policy, besides the one that requires TLS."""
    region: str | None = None
    """Region of the bucket, if not that of the stack."""


class Bucket(pulumi.ComponentResource):
    """The bucket and the resources that configure it."""

    id: pulumi.Output[str]
    arn: pulumi.Output[str]
    versions: s3.BucketVersioning

    def __init__(self, name: str, args: BucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Bucket", name, {}, opts)
        bucket = s3.Bucket(
            f"{name}-bucket",
            bucket=args.bucket,
            region=args.region,
            object_lock_enabled=args.lock_days is not None,
            force_destroy=False,
            opts=stateful(self, args.scope.settings.state),
        )
        self.id, self.arn = bucket.id, bucket.arn
        self._close(name, args)
        self.versions = s3.BucketVersioning(
            f"{name}-versions",
            bucket=self.id,
            region=args.region,
            versioning_configuration=s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=child(self),
        )
        self._encrypt(name, args)
        self._age(name, args)
        if args.logs is not None:
            s3.BucketLogging(
                f"{name}-logging",
                bucket=self.id,
                region=args.region,
                target_bucket=args.logs,
                target_prefix=f"s3/{name}/",
                opts=child(self),
            )
        self.register_outputs({"id": self.id, "arn": self.arn})

    def _close(self, name: str, args: BucketArgs) -> None:
        block = s3.BucketPublicAccessBlock(
            f"{name}-closed",
            bucket=self.id,
            region=args.region,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child(self),
        )
        s3.BucketOwnershipControls(
            f"{name}-owner",
            bucket=self.id,
            region=args.region,
            rule=s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=child(self),
        )
        # S3 refuses two simultaneous changes of one bucket as a conflict.
        s3.BucketPolicy(
            f"{name}-policy",
            bucket=self.id,
            region=args.region,
            policy=document([tls_only(self.arn), *args.statements]),
            opts=child(self, after=[block]),
        )

    def _encrypt(self, name: str, args: BucketArgs) -> None:
        default = s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="AES256" if args.key is None else "aws:kms", kms_master_key_id=args.key
        )
        s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=self.id,
            region=args.region,
            rules=[
                s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=default, bucket_key_enabled=args.key is not None
                )
            ],
            opts=child(self),
        )
        if args.lock_days is not None:
            retention = s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(mode="COMPLIANCE", days=args.lock_days)
            s3.BucketObjectLockConfiguration(
                f"{name}-lock",
                bucket=self.id,
                region=args.region,
                rule=s3.BucketObjectLockConfigurationRuleArgs(default_retention=retention),
                opts=child(self, after=[self.versions]),
            )

    def _age(self, name: str, args: BucketArgs) -> None:
        s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=self.id,
            region=args.region,
            rules=lifecycle(args),
            # Rules about versions take effect only once versioning is on.
            opts=child(self, after=[self.versions]),
        )


def tls_only(arn: pulumi.Input[str]) -> Statement:
    """Return the statement that refuses unencrypted requests."""
    return Statement(
        sid="OnlyTls",
        effect="Deny",
        actions=["s3:*"],
        resources=[arn, pulumi.Output.concat(arn, "/*")],
        principals="*",
        conditions={"Bool": {"aws:SecureTransport": "false"}},
    )


def lifecycle(args: BucketArgs) -> list[s3.BucketLifecycleConfigurationRuleArgs]:
    """Return the lifecycle rules for unfinished uploads, old versions, cheaper storage classes and expiry."""
    every = s3.BucketLifecycleConfigurationRuleFilterArgs(prefix="")
    rules = [
        s3.BucketLifecycleConfigurationRuleArgs(
            id="tidy",
            status="Enabled",
            filter=every,
            abort_incomplete_multipart_upload=s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                days_after_initiation=UPLOAD_DAYS
            ),
            noncurrent_version_expiration=s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                noncurrent_days=OLD_VERSION_DAYS
            ),
        )
    ]
    if args.stages:
        transitions = [
            s3.BucketLifecycleConfigurationRuleTransitionArgs(days=stage.days, storage_class=stage.storage_class)
            for stage in args.stages
        ]
        rules.append(
            s3.BucketLifecycleConfigurationRuleArgs(
                id="cheaper", status="Enabled", filter=every, transitions=transitions
            )
        )
    if args.expire_days is not None:
        end = s3.BucketLifecycleConfigurationRuleExpirationArgs(days=args.expire_days)
        chosen = every if args.expire_mark is None else _marked(args.expire_mark)
        rules.append(s3.BucketLifecycleConfigurationRuleArgs(id="age", status="Enabled", filter=chosen, expiration=end))
    return rules


def _marked(mark: Mark) -> s3.BucketLifecycleConfigurationRuleFilterArgs:
    return s3.BucketLifecycleConfigurationRuleFilterArgs(
        tag=s3.BucketLifecycleConfigurationRuleFilterTagArgs(key=mark.key, value=mark.value)
    )
