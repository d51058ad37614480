"""Backups in S3 (by moto): what is uploaded can be restored, and damage is detected."""

from __future__ import annotations

import os
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.backup_bucket import BUCKET, LARGE, STORE, keys, restore, unfinished_uploads
from support.backup_jobs import Jobs, drill, files_of
from support.postgres import Postgres
from support.s3 import client, encrypted_bucket

from ops.errors import OpsError
from ops.jobs import migrate

pytestmark = [pytest.mark.service, pytest.mark.filterwarnings("ignore::ResourceWarning")]
SELDOM = pytest.mark.long(seconds=50, together=__name__)


def test_an_uploaded_backup_restores_without_the_volume(
    bucket_jobs: Jobs, empty_postgres: Postgres, s3: str, tmp_path: Path
) -> None:
    (bucket_jobs.artifacts / "large.bin").write_bytes(os.urandom(LARGE))
    bucket_jobs.both("--upload", STORE)
    large = next(key for key in keys(s3) if client(s3).head_object(Bucket=BUCKET, Key=key)["ContentLength"] == LARGE)
    assert client(s3).head_object(Bucket=BUCKET, Key=large)["ETag"].strip('"').endswith("-2"), "no multipart upload"
    assert {client(s3).head_object(Bucket=BUCKET, Key=key)["ServerSideEncryption"] for key in keys(s3)} == {"aws:kms"}
    assert not unfinished_uploads(s3)
    shutil.rmtree(bucket_jobs.root)
    verified = bucket_jobs.run("backup", "verify", "--from", STORE)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    done = restore(bucket_jobs, empty_postgres, tmp_path / "target")
    assert done.returncode == 0, done.stderr
    assert files_of(tmp_path / "target") == files_of(bucket_jobs.artifacts)


def test_the_drill_proves_the_bucket_without_the_volume(bucket_jobs: Jobs, server: Postgres, s3: str) -> None:
    bucket_jobs.both("--upload", STORE)
    shutil.rmtree(bucket_jobs.root)
    bucket_jobs.root.mkdir()
    done = drill(bucket_jobs, server, "--remote", STORE)
    assert done.returncode == 0, done.stderr
    assert f"from {STORE}" in done.stdout
    assert done.stdout.count(": loaded, ") == 2
    damaged = max(keys(s3, "night/objects/"))
    client(s3).put_object(Bucket=BUCKET, Key=damaged, Body=b"something else")
    done = drill(bucket_jobs, server, "--remote", STORE)
    assert done.returncode == 2
    assert "the backup is not proven" in done.stderr


@SELDOM
def test_a_night_without_the_bucket_is_uploaded_the_next_night(bucket_jobs: Jobs) -> None:
    bucket_jobs.both()
    bucket_jobs.both("--upload", STORE)
    listed = bucket_jobs.run("backup", "list", "--from", STORE)
    assert len([line for line in listed.stdout.splitlines() if re.match(r"\d{8}T", line)]) == 4


RARER_DAMAGE = ("cut", "missing", "other key", "no key")


@pytest.mark.parametrize(
    "kind", ["bit", *(pytest.param(kind, marks=pytest.mark.long(seconds=6)) for kind in RARER_DAMAGE)]
)
def test_damage_in_the_bucket_is_detected_and_refused(
    bucket_jobs: Jobs, empty_postgres: Postgres, s3: str, kind: str, tmp_path: Path
) -> None:
    bucket_jobs.both("--upload", STORE)
    key = max(keys(s3, "night/objects/"), key=lambda k: client(s3).head_object(Bucket=BUCKET, Key=k)["ContentLength"])
    body = bytearray(client(s3).get_object(Bucket=BUCKET, Key=key)["Body"].read())
    where = {"Bucket": BUCKET, "Key": key}
    if kind == "bit":
        body[len(body) // 2] ^= 1
        client(s3).put_object(**where, Body=bytes(body))
    elif kind == "cut":
        client(s3).put_object(**where, Body=bytes(body[: len(body) // 2]))
    elif kind == "missing":
        client(s3).delete_object(**where)
    elif kind == "other key":
        other = client(s3, "kms").create_key()["KeyMetadata"]["Arn"]
        client(s3).put_object(**where, Body=bytes(body), ServerSideEncryption="aws:kms", SSEKMSKeyId=other)
    else:
        client(s3).put_object(**where, Body=bytes(body), ServerSideEncryption="AES256")
    verified = bucket_jobs.run("backup", "verify", "--from", STORE)
    assert verified.returncode == 1
    assert "DAMAGED" in verified.stdout
    done = restore(bucket_jobs, empty_postgres, tmp_path / "target")
    assert done.returncode == 2, done.stderr
    assert not (tmp_path / "target").exists() or not list((tmp_path / "target").iterdir())


@SELDOM
def test_a_bucket_without_kms_is_refused(bucket_jobs: Jobs, s3: str) -> None:
    client(s3).delete_bucket_encryption(Bucket=BUCKET)
    done = bucket_jobs.postgres("--upload", STORE)
    assert done.returncode == 2
    assert "not encrypted with KMS by default" in done.stderr


@SELDOM
def test_a_missing_bucket_is_reported_and_the_backup_on_the_volume_stays(bucket_jobs: Jobs) -> None:
    done = bucket_jobs.postgres("--upload", "s3://churn-no-such-bucket")
    assert done.returncode == 2
    assert done.stderr.strip() == "Error: s3://churn-no-such-bucket: there is no such bucket"
    assert len(list(bucket_jobs.root.glob("postgres/*/manifest.json"))) == 1


@SELDOM
def test_artifacts_come_from_a_bucket_and_go_back_into_one(bucket_jobs: Jobs, s3: str) -> None:
    encrypted_bucket(s3, "churn-test-artifacts")
    for path, content in files_of(bucket_jobs.artifacts).items():
        client(s3).put_object(Bucket="churn-test-artifacts", Key=f"artifacts/{path}", Body=content)
    assert bucket_jobs.postgres().returncode == 0
    from_bucket = ("artifacts", "--from", "s3://churn-test-artifacts/artifacts", "--to", str(bucket_jobs.root))
    done = bucket_jobs.run("backup", *from_bucket)
    assert done.returncode == 0, done.stderr
    assert "of which 0 are new" in bucket_jobs.run("backup", *from_bucket).stdout
    place = "s3://churn-test-artifacts/restored"
    back = bucket_jobs.run("restore", "--from", str(bucket_jobs.root), "--artifacts-to", place)
    assert back.returncode == 0, back.stderr
    pages = client(s3).get_paginator("list_objects_v2").paginate(Bucket="churn-test-artifacts", Prefix="restored/")
    restored = {
        item["Key"].removeprefix("restored/"): client(s3)
        .get_object(Bucket="churn-test-artifacts", Key=item["Key"])["Body"]
        .read()
        for page in pages
        for item in page["Contents"]
    }
    assert restored == files_of(bucket_jobs.artifacts)
    refused = bucket_jobs.run("restore", "--from", str(bucket_jobs.root), "--artifacts-to", place)
    assert refused.returncode == 2
    assert "is not empty" in refused.stderr


@SELDOM
def test_a_migration_finds_a_recent_dump_in_the_bucket_and_reads_no_more_than_manifests_of_dumps(
    bucket_jobs: Jobs, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bucket_jobs.environment.items():
        monkeypatch.setenv(name, value)
    now = datetime.now(UTC)
    with pytest.raises(OpsError, match=f"{STORE} has no complete backup of it"):
        migrate.require_backup(STORE, now)
    bucket_jobs.both("--upload", STORE)
    for key in keys(s3):  # what its role may not read
        if not re.fullmatch(r"night/postgres/[^/]+/manifest\.json", key):
            client(s3).delete_object(Bucket=BUCKET, Key=key)
    assert now - migrate.require_backup(STORE, now).finished_at < timedelta(minutes=10)
    with pytest.raises(OpsError, match="more than 26 hours ago"):
        migrate.require_backup(STORE, now + timedelta(hours=27))
