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
READ_KEY: Final = ("kms:Decrypt",)
WRITE_KEY: Final = ("kms:Decrypt", "kms:GenerateDataKey")


@dataclass(frozen=True, kw_only=True)
class Things:
    """What rights are about."""

    secrets: dict[str, SecretSource]
    storage: Storage
    data_key: pulumi.Input[str]
    secret_key: pulumi.Input[str]


def on_bucket(what: str, bucket: pulumi.Input[str], objects: Sequence[str], key: pulumi.Input[str]) -> list[Statement]:
    """List a bucket, and some actions on its objects and with the key that encrypts them."""
    key_actions = READ_KEY if set(objects) <= set(READ_OBJECTS) else WRITE_KEY
    return [
        Statement(sid=f"List{what}", actions=["s3:GetBucketLocation", "s3:ListBucket"], resources=[bucket]),
        Statement(sid=f"Use{what}", actions=objects, resources=[pulumi.Output.concat(bucket, "/*")]),
        Statement(sid=f"Key{what}", actions=key_actions, resources=[key]),
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


def statements(workload: Workload, things: Things) -> list[Statement]:
    """All rights of one workload; none for one that has nothing to do with AWS."""
    return [
        *on_secrets(_arns(secret_files.READERS.get(workload.name, ()), things), things.secret_key),
        *_s3(workload, things),
    ]


def _arns(specs: Sequence[SecretSpec], things: Things) -> list[pulumi.Input[str]]:
    sources = [things.secrets.get(spec.name) for spec in specs]
    return [source.arn for source in sources if isinstance(source, AwsSource)]


def _s3(workload: Workload, things: Things) -> list[Statement]:
    storage, key = things.storage, things.data_key
    artifacts, backups, data = storage.artifacts.arn, storage.backups.arn, storage.data.arn
    rights: dict[str, list[tuple[str, pulumi.Input[str], Sequence[str]]]] = {
        # Artifacts go through the server, and only it deletes them.
        n.MLFLOW.name: [("Artifacts", artifacts, (*READ_OBJECTS, *CHANGE_OBJECTS))],
        n.TRAINING.name: [("Data", data, READ_OBJECTS)],
        # It writes backups and cannot remove any: they age by themselves.
        n.BACKUP.name: [
            ("Artifacts", artifacts, READ_OBJECTS),
            ("Backups", backups, (*READ_OBJECTS, *WRITE_OBJECTS)),
        ],
        n.DRILL.name: [("Backups", backups, READ_OBJECTS)],
    }
    if storage.metrics is not None:
        metrics = storage.metrics.arn
        rights |= {
            n.PROMETHEUS.name: [("Metrics", metrics, (*READ_OBJECTS, *WRITE_OBJECTS))],
            n.THANOS_STORE.name: [("Metrics", metrics, READ_OBJECTS)],
            n.THANOS_COMPACT.name: [("Metrics", metrics, (*READ_OBJECTS, *CHANGE_OBJECTS))],
        }
    return [
        statement
        for what, bucket, objects in rights.get(workload.name, ())
        for statement in on_bucket(what, bucket, objects, key)
    ]
