"""What each workload may do on AWS: read the secrets that it mounts, and use the buckets that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi

from infra import naming as n
from infra import secret_files
from infra.aws.storage import Storage
from infra.kit.iam import Statement
from infra.naming import Workload
from infra.secret_files import AwsSource, SecretSource, SecretSpec

READ_OBJECTS: Final = ("s3:GetObject",)
WRITE_OBJECTS: Final = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject")
CHANGE_OBJECTS: Final = (*WRITE_OBJECTS, "s3:DeleteObject")
MARK_OBJECTS: Final = (*WRITE_OBJECTS, "s3:PutObjectTagging")
LIST: Final = ("s3:GetBucketLocation", "s3:ListBucket")
READ_ENCRYPTION: Final = ("s3:GetEncryptionConfiguration",)
READ_LIFECYCLE: Final = ("s3:GetLifecycleConfiguration",)
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
        key_actions = READ_KEY if set(self.objects) <= set(READ_OBJECTS) else WRITE_KEY
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


def statements(workload: Workload, grantable: Grantable) -> list[Statement]:
    """Return all rights of one workload; there are none for a workload that does not use AWS."""
    return [
        *on_secrets(_arns(secret_files.READERS.get(workload.name, ()), grantable), grantable.secret_key),
        *_s3(workload, grantable),
    ]


def _arns(specs: Sequence[SecretSpec], grantable: Grantable) -> list[pulumi.Input[str]]:
    sources = [grantable.secrets.get(spec.name) for spec in specs]
    return [source.arn for source in sources if isinstance(source, AwsSource)]


def _s3(workload: Workload, grantable: Grantable) -> list[Statement]:
    storage, key = grantable.storage, grantable.data_key
    artifacts, backups, data = storage.artifacts.arn, storage.backups.arn, storage.data.arn
    rights = {
        # Artifacts pass through the server, and only the server deletes them.
        n.MLFLOW.name: [Use(name="Artifacts", bucket=artifacts, objects=(*READ_OBJECTS, *CHANGE_OBJECTS))],
        n.TRAINING.name: [Use(name="Data", bucket=data, objects=READ_OBJECTS)],
        # The job writes backups but cannot delete any: it tags them, and the bucket's lifecycle deletes them later.
        n.BACKUP.name: [
            Use(name="Artifacts", bucket=artifacts, objects=READ_OBJECTS),
            Use(
                name="Backups",
                bucket=backups,
                objects=(*READ_OBJECTS, *MARK_OBJECTS),
                on_bucket=(*READ_ENCRYPTION, *READ_LIFECYCLE),
            ),
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
            Use(name="Backups", bucket=backups, objects=READ_OBJECTS, on_bucket=READ_ENCRYPTION),
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
