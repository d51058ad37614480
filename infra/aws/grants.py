"""What each workload may do on AWS: read the secrets that it mounts, and use the buckets that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi

from infra import naming as n
from infra import secret_files
from infra.aws.storage import EXPIRED, LOCK_DAYS, RENEW_DAYS, Storage
from infra.kit.iam import Statement
from infra.naming import Workload
from infra.secret_files import AwsSource, SecretSource, SecretSpec

READ_OBJECTS: Final = ("s3:GetObject",)
WRITE_OBJECTS: Final = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject")
CHANGE_OBJECTS: Final = (*WRITE_OBJECTS, "s3:DeleteObject")
READ_VERSIONS: Final = (*READ_OBJECTS, "s3:GetObjectVersion")
LIST_VERSIONS: Final = ("s3:ListBucketVersions",)
LIST: Final = ("s3:GetBucketLocation", "s3:ListBucket")
READ_ENCRYPTION: Final = ("s3:GetEncryptionConfiguration",)
READ_LIFECYCLE: Final = ("s3:GetLifecycleConfiguration",)
READ_LOCK: Final = ("s3:GetBucketObjectLockConfiguration",)
READ_KEY: Final = ("kms:Decrypt",)
WRITE_KEY: Final = ("kms:Decrypt", "kms:GenerateDataKey")


@dataclass(frozen=True, kw_only=True)
class Grantable:
    """Everything that a workload may be granted rights to."""

    secrets: dict[str, SecretSource]
    storage: Storage
    data_key: pulumi.Input[str]
    secret_key: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class Use:
    """A bucket, the actions on its objects, and the actions on the bucket itself besides listing it.

    ``only`` is a pattern of the objects' keys.
    """

    name: str
    bucket: pulumi.Input[str]
    objects: Sequence[str]
    on_bucket: Sequence[str] = ()
    only: str = "*"

    def statements(self, key: pulumi.Input[str]) -> list[Statement]:
        """Return these rights, and those to the key that encrypts the objects."""
        key_actions = READ_KEY if set(self.objects) <= set(READ_VERSIONS) else WRITE_KEY
        return [
            Statement(sid=f"List{self.name}", actions=[*LIST, *self.on_bucket], resources=[self.bucket]),
            Statement(
                sid=f"Use{self.name}",
                actions=self.objects,
                resources=[pulumi.Output.concat(self.bucket, f"/{self.only}")],
            ),
            Statement(sid=f"Key{self.name}", actions=key_actions, resources=[key]),
        ]


def on_secrets(arns: Sequence[pulumi.Input[str]], key: pulumi.Input[str]) -> list[Statement]:
    """Return the rights to read secrets, which the driver does with the pod's own role."""
    if not arns:
        return []
    return [
        Statement(
            sid="ReadSecrets",
            actions=["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
            resources=arns,
        ),
        Statement(sid="DecryptSecrets", actions=READ_KEY, resources=[key]),
    ]


def extend_locks(backups: pulumi.Input[str]) -> list[Statement]:
    """Return the rights to lock what a backup uses again, for as long as a new upload is locked and no longer.

    A lock in COMPLIANCE mode can only be extended. Without a limit, whoever has these rights could lock everything for
    a hundred years, and its storage would be billed as long. S3 asks for the same right and conditions when an upload
    brings its own lock (Service Authorization Reference, Amazon S3: PutObjectRetention).
    """
    objects = [pulumi.Output.concat(backups, "/*")]
    limits = {
        "StringEquals": {"s3:object-lock-mode": "COMPLIANCE"},
        # S3 counts a started day as a whole one.
        "NumericLessThanEquals": {"s3:object-lock-remaining-retention-days": str(LOCK_DAYS + RENEW_DAYS + 1)},
    }
    return [
        Statement(sid="ReadLocks", actions=["s3:GetObjectRetention"], resources=objects),
        Statement(sid="ExtendLocks", actions=["s3:PutObjectRetention"], resources=objects, conditions=limits),
    ]


def mark_expired(backups: pulumi.Input[str]) -> Statement:
    """Return the right to put the tag of expired backups, and no other, on a version that exists."""
    return Statement(
        sid="MarkExpired",
        actions=["s3:PutObjectVersionTagging"],
        resources=[pulumi.Output.concat(backups, "/*")],
        conditions={
            "StringEquals": {f"s3:RequestObjectTag/{EXPIRED.key}": EXPIRED.value},
            "ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": EXPIRED.key},
        },
    )


def statements(workload: Workload, grantable: Grantable) -> list[Statement]:
    """Return all rights of one workload; there are none for a workload that does not use AWS."""
    return [
        *on_secrets(_arns(secret_files.READERS.get(workload.name, ()), grantable), grantable.secret_key),
        *_s3(workload, grantable),
        *_on_backups(workload, grantable.storage),
    ]


def _arns(specs: Sequence[SecretSpec], grantable: Grantable) -> list[pulumi.Input[str]]:
    sources = [grantable.secrets.get(spec.name) for spec in specs]
    return [source.arn for source in sources if isinstance(source, AwsSource)]


def _on_backups(workload: Workload, storage: Storage) -> list[Statement]:
    if workload == n.BACKUP_EXPIRY:
        return [mark_expired(storage.backups.arn)]
    return extend_locks(storage.backups.arn) if workload == n.BACKUP and storage.locks else []


def _s3(workload: Workload, grantable: Grantable) -> list[Statement]:
    storage, key = grantable.storage, grantable.data_key
    artifacts, backups, data = storage.artifacts.arn, storage.backups.arn, storage.data.arn
    rights = {
        # Artifacts pass through the server, and only the server deletes them.
        n.MLFLOW.name: [Use(name="Artifacts", bucket=artifacts, objects=(*READ_OBJECTS, *CHANGE_OBJECTS))],
        n.TRAINING.name: [Use(name="Data", bucket=data, objects=READ_OBJECTS)],
        # The job writes backups and can neither delete any nor let the bucket's lifecycle do so.
        n.BACKUP.name: [
            Use(name="Artifacts", bucket=artifacts, objects=READ_OBJECTS),
            Use(
                name="Backups",
                bucket=backups,
                objects=(*READ_OBJECTS, *WRITE_OBJECTS),
                on_bucket=(*READ_ENCRYPTION, *READ_LIFECYCLE, *READ_LOCK),
            ),
        ],
        # It marks what the lifecycle may delete, and can write nothing.
        n.BACKUP_EXPIRY.name: [
            Use(
                name="Backups",
                bucket=backups,
                objects=READ_OBJECTS,
                on_bucket=(*LIST_VERSIONS, *READ_ENCRYPTION, *READ_LIFECYCLE),
            )
        ],
        n.DRILL.name: [Use(name="Backups", bucket=backups, objects=READ_OBJECTS, on_bucket=READ_ENCRYPTION)],
        # It looks for a recent dump, and cannot read one.
        n.MLFLOW_MIGRATE.name: [
            Use(
                name="Backups",
                bucket=backups,
                objects=READ_OBJECTS,
                on_bucket=READ_ENCRYPTION,
                only="postgres/*/manifest.json",
            )
        ],
        # It reads every artifact back that it wrote, and deletes none.
        n.RESTORE.name: [
            Use(name="Artifacts", bucket=artifacts, objects=(*READ_OBJECTS, *WRITE_OBJECTS)),
            # Older versions too, in case somebody has overwritten the backups.
            Use(
                name="Backups",
                bucket=backups,
                objects=READ_VERSIONS,
                on_bucket=(*LIST_VERSIONS, *READ_ENCRYPTION),
            ),
        ],
    }
    if storage.metrics is not None:
        metrics = storage.metrics.arn
        rights |= {
            n.PROMETHEUS.name: [Use(name="Metrics", bucket=metrics, objects=(*READ_OBJECTS, *WRITE_OBJECTS))],
            n.THANOS_STORE.name: [Use(name="Metrics", bucket=metrics, objects=READ_OBJECTS)],
            n.THANOS_COMPACT.name: [Use(name="Metrics", bucket=metrics, objects=(*READ_OBJECTS, *CHANGE_OBJECTS))],
        }
    return [statement for use in rights.get(workload.name, ()) for statement in use.statements(key)]
