"""What each workload may do on AWS: read the secrets that it mounts, and use the buckets that are its business."""

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
LOOK_AT_KEY: Final = ("s3:GetEncryptionConfiguration",)
LOOK_AT_LIFE: Final = ("s3:GetLifecycleConfiguration",)
READ_KEY: Final = ("kms:Decrypt",)
WRITE_KEY: Final = ("kms:Decrypt", "kms:GenerateDataKey")


@dataclass(frozen=True, kw_only=True)
class Grantable:
    """What rights are about."""

    secrets: dict[str, SecretSource]
    storage: Storage
    data_key: pulumi.Input[str]
    secret_key: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class Use:
    """A bucket, what may be done with its objects, and what of the bucket itself may be looked at besides its list."""

    what: str
    bucket: pulumi.Input[str]
    objects: Sequence[str]
    looks: Sequence[str] = ()

    def statements(self, key: pulumi.Input[str]) -> list[Statement]:
        """These rights, and those to the key that encrypts the objects."""
        key_actions = READ_KEY if set(self.objects) <= set(READ_OBJECTS) else WRITE_KEY
        return [
            Statement(sid=f"List{self.what}", actions=[*LIST, *self.looks], resources=[self.bucket]),
            Statement(sid=f"Use{self.what}", actions=self.objects, resources=[pulumi.Output.concat(self.bucket, "/*")]),
            Statement(sid=f"Key{self.what}", actions=key_actions, resources=[key]),
        ]


def on_secrets(arns: Sequence[pulumi.Input[str]], key: pulumi.Input[str]) -> list[Statement]:
    """Read secrets, as the driver does with the pod's own role."""
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
    """All rights of one workload; none for one that has nothing to do with AWS."""
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
        # Artifacts go through the server, and only it deletes them.
        n.MLFLOW.name: [Use(what="Artifacts", bucket=artifacts, objects=(*READ_OBJECTS, *CHANGE_OBJECTS))],
        n.TRAINING.name: [Use(what="Data", bucket=data, objects=READ_OBJECTS)],
        # It writes backups and cannot remove any: it marks them, and the bucket's lifecycle removes those in time.
        n.BACKUP.name: [
            Use(what="Artifacts", bucket=artifacts, objects=READ_OBJECTS),
            Use(
                what="Backups",
                bucket=backups,
                objects=(*READ_OBJECTS, *MARK_OBJECTS),
                looks=(*LOOK_AT_KEY, *LOOK_AT_LIFE),
            ),
        ],
        n.DRILL.name: [Use(what="Backups", bucket=backups, objects=READ_OBJECTS, looks=LOOK_AT_KEY)],
    }
    if storage.metrics is not None:
        metrics = storage.metrics.arn
        rights |= {
            n.PROMETHEUS.name: [Use(what="Metrics", bucket=metrics, objects=(*READ_OBJECTS, *WRITE_OBJECTS))],
            n.THANOS_STORE.name: [Use(what="Metrics", bucket=metrics, objects=READ_OBJECTS)],
            n.THANOS_COMPACT.name: [Use(what="Metrics", bucket=metrics, objects=(*READ_OBJECTS, *CHANGE_OBJECTS))],
        }
    return [statement for use in rights.get(workload.name, ()) for statement in use.statements(key)]
