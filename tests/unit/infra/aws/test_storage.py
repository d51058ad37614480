"""The buckets for backups as the backup job sees them: created on moto as recorded, and used by the job's own code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.aws_api import account, as_api
from support.recorder import named, recorded

from infra.aws.storage import BACKUP_DAYS, EXPIRED
from ops.backup import upload as backup_upload
from ops.backup.root import Root
from ops.backup.upload import Bucket
from ops.errors import OpsError

BUCKETS = [("staging", "storage-backups"), ("prod", "storage-backups"), ("prod", "storage-copy-target")]


def rules(stack: str, name: str) -> list[dict[str, Any]]:
    """Return the rules of a recorded lifecycle or encryption, in the form of S3's API."""
    s3_rules: list[dict[str, Any]] = as_api(named(recorded(stack), name).inputs["rules"])
    return s3_rules


@pytest.fixture
def s3() -> Iterator[Any]:
    with account():
        yield boto3.client("s3")


def recorded_bucket(s3: Any, stack: str, name: str) -> Bucket:
    """Create a bucket with the recorded lifecycle and encryption."""
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    encryption = {"Rules": rules(stack, f"{name}-encryption")}
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=encryption)
    lifecycle(s3, name, rules(stack, f"{name}-lifecycle"))
    return Bucket.open(f"s3://{name}")


def lifecycle(s3: Any, name: str, lifecycle_rules: list[dict[str, Any]]) -> None:
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": lifecycle_rules})


@pytest.mark.parametrize(("stack", "name"), BUCKETS)
def test_the_job_accepts_the_bucket(s3: Any, stack: str, name: str) -> None:
    recorded_bucket(s3, stack, name).check_lifecycle()


@pytest.mark.parametrize(("stack", "name"), BUCKETS)
def test_the_job_refuses_the_bucket_without_the_tag(s3: Any, stack: str, name: str) -> None:
    """The check can fail: here the last rule applies to all objects."""
    bucket = recorded_bucket(s3, stack, name)
    original = rules(stack, f"{name}-lifecycle")
    lifecycle(s3, name, [*original[:-1], {**original[-1], "Filter": {"Prefix": ""}}])
    with pytest.raises(OpsError, match="the lifecycle rule 'age' deletes by age"):
        bucket.check_lifecycle()


@pytest.mark.parametrize(("stack", "name"), BUCKETS)
def test_the_job_refuses_the_bucket_that_forgets_what_was_overwritten(s3: Any, stack: str, name: str) -> None:
    bucket = recorded_bucket(s3, stack, name)
    first, *others = rules(stack, f"{name}-lifecycle")
    assert first["NoncurrentVersionExpiration"]["NoncurrentDays"] >= backup_upload.OLD_VERSION_DAYS
    lifecycle(s3, name, [{**first, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}, *others])
    with pytest.raises(OpsError, match="the lifecycle rule 'tidy' deletes old versions after 1 days"):
        bucket.check_lifecycle()


@pytest.mark.parametrize(("stack", "name"), BUCKETS)
def test_an_upload_has_the_buckets_key_and_can_be_tagged(s3: Any, stack: str, name: str, tmp_path: Path) -> None:
    bucket = recorded_bucket(s3, stack, name)
    (tmp_path / "file").write_bytes(b"content")
    assert bucket.put(Root(tmp_path), "file") == len(b"content")
    (default,) = rules(stack, f"{name}-encryption")
    key = default["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"]
    assert s3.head_object(Bucket=name, Key="file")["SSEKMSKeyId"] == key
    (version,) = bucket.storage.versions()
    bucket.mark("file", version.id)
    tags = s3.get_object_tagging(Bucket=name, Key="file")["TagSet"]
    expiring = [rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"] if "Expiration" in rule]
    assert [(rule["Filter"]["Tag"], rule["Expiration"]) for rule in expiring] == [(tags[0], {"Days": BACKUP_DAYS})]


@pytest.mark.parametrize(("stack", "name"), BUCKETS)
def test_all_backups_move_to_a_cheaper_class(stack: str, name: str) -> None:
    moving = [rule for rule in rules(stack, f"{name}-lifecycle") if "Transitions" in rule]
    assert [(rule["Filter"], rule["Transitions"]) for rule in moving] == [
        ({"Prefix": ""}, [{"Days": 30, "StorageClass": "STANDARD_IA"}])
    ]


def test_logs_go_by_their_age_alone() -> None:
    (rule,) = [rule for rule in rules("staging", "storage-logs-lifecycle") if "Expiration" in rule]
    assert (rule["Filter"], rule["Expiration"]) == ({"Prefix": ""}, {"Days": 365})


def test_the_job_and_the_lifecycle_use_the_same_tag() -> None:
    assert {"Key": EXPIRED.key, "Value": EXPIRED.value} == backup_upload.EXPIRED
