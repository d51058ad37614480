"""The stack's buckets: model artifacts, training data, backups, metrics, and access logs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import pulumi

from infra.aws.baseline import deliveries
from infra.aws.bucket import Bucket, BucketArgs, Mark, Stage
from infra.aws.copy import Copy, CopyArgs
from infra.aws.scope import Scope
from infra.kit.iam import Statement

BACKUP_STAGES: Final = (Stage(days=30, storage_class="STANDARD_IA"),)
"""Colder classes do not pay off: they bill at least 90 days, and a backup has fewer left by then."""
BACKUP_DAYS: Final = 90
"""How old an object must be before it is deleted, once the backup job has tagged it; other objects stay for ever."""
EXPIRED: Final = Mark(key="churn-expired", value="true")
"""The same tag as `ops.backup.upload.EXPIRED`, whose image does not contain this package; a test ties the two."""
LOCK_DAYS: Final = 30
"""How long nobody can delete a backup, not even somebody with full rights in the account."""
RENEW_DAYS: Final = 7
"""By how much the backup job may lock a content for longer than that, so that it need not do so every night.

The same number as `ops.backup.upload.RENEW_DAYS`, whose image does not contain this package; a test ties the two."""
LOG_DAYS: Final = 365


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    """The stack, and the key for its data."""

    scope: Scope
    key: pulumi.Input[str]


class Storage(pulumi.ComponentResource):
    """One bucket for each purpose."""

    artifacts: Bucket
    data: Bucket
    backups: Bucket
    logs: Bucket
    metrics: Bucket | None
    locks: bool
    """Whether nobody can delete a backup before its time."""

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Storage", name, {}, opts)
        scope, inside = args.scope, pulumi.ResourceOptions(parent=self)
        # Access to the logs is not logged: every record would cause another one.
        logs_args = BucketArgs(
            scope=scope,
            bucket=scope.bucket("logs"),
            key=None,
            expire_days=LOG_DAYS,
            statements=[_delivery(scope), *deliveries(scope)],
        )
        self.logs = Bucket(f"{name}-logs", logs_args, inside)
        plain = BucketArgs(scope=scope, bucket="", key=args.key, logs=self.logs.id)
        self.artifacts = Bucket(f"{name}-artifacts", replace(plain, bucket=scope.bucket("artifacts")), inside)
        self.data = Bucket(f"{name}-data", replace(plain, bucket=scope.bucket("data")), inside)
        self.metrics = None
        if scope.settings.thanos.enabled:
            self.metrics = Bucket(f"{name}-metrics", replace(plain, bucket=scope.bucket("metrics")), inside)
        self.locks = scope.settings.buckets.object_lock
        self.backups = self._backups(name, plain, inside)
        self.register_outputs({})

    def _backups(self, name: str, plain: BucketArgs, inside: pulumi.ResourceOptions) -> Bucket:
        scope = plain.scope
        args = replace(
            plain,
            bucket=scope.bucket("backups"),
            stages=BACKUP_STAGES,
            expire_days=BACKUP_DAYS,
            expire_mark=EXPIRED,
            lock_days=LOCK_DAYS if scope.settings.buckets.object_lock else None,
        )
        bucket = Bucket(f"{name}-backups", args, inside)
        region = scope.settings.buckets.copy_region
        if region:
            copy = CopyArgs(scope=scope, region=region, source=bucket, source_key=plain.key or "", like=args)
            Copy(f"{name}-copy", copy, inside)
        return bucket


def _delivery(scope: Scope) -> Statement:
    return Statement(
        sid="Delivery",
        actions=["s3:PutObject"],
        resources=[f"arn:aws:s3:::{scope.bucket('logs')}/s3/*"],
        principals={"Service": ["logging.s3.amazonaws.com"]},
        conditions={
            "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{scope.prefix}-*"},
            "StringEquals": {"aws:SourceAccount": scope.account.id},
        },
    )
