"""Backups in S3 (by moto): what is uploaded restores, damage is found, faults on the way lose nothing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.backup_jobs import Jobs, drill, small_registry, superuser
from support.backups import artifacts_manifest, backup_id, dump_manifest
from support.postgres import Postgres
from support.s3 import FaultyProxy, client, encrypted_bucket, environment, moto

from ops.backup import upload as backup_upload
from ops.backup.catalog import key_of
from ops.backup.manifest import TREE, Digest, object_key, render
from ops.backup.root import Root
from ops.backup.upload import upload

pytestmark = [pytest.mark.service, pytest.mark.filterwarnings("ignore::ResourceWarning")]

BUCKET = "churn-test-backups"
STORE = f"s3://{BUCKET}/night"
NIGHTS = 95
LARGE = 20 * 1024 * 1024
"""Two parts."""


@pytest.fixture
def s3() -> Iterator[str]:
    with moto() as url:
        encrypted_bucket(url, BUCKET)
        yield url


@pytest.fixture
def jobs(server: Postgres, bundles: list[Path], s3: str, tmp_path: Path) -> Jobs:
    made = Jobs.on(server, tmp_path, **environment(s3))
    small_registry(server, made.artifacts, bundles[0])
    return made


def keys(s3: str, prefix: str = "night/") -> set[str]:
    pages = client(s3).get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return {found["Key"] for page in pages for found in page.get("Contents", ())}


def uploads(s3: str) -> list[Any]:
    found: list[Any] = client(s3).list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    return found


def restore(jobs: Jobs, target: Path, *more: str) -> Any:
    with Postgres() as empty:
        return jobs.run(
            "restore", "--from", STORE, "--to", superuser(empty), "--artifacts-to", str(target), *more
        )  # fmt: skip


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_uploaded_restores_with_the_volume_gone(jobs: Jobs, s3: str, tmp_path: Path) -> None:
    (jobs.artifacts / "large.bin").write_bytes(os.urandom(LARGE))
    jobs.both("--upload", STORE)
    large = next(key for key in keys(s3) if client(s3).head_object(Bucket=BUCKET, Key=key)["ContentLength"] == LARGE)
    assert client(s3).head_object(Bucket=BUCKET, Key=large)["ETag"].strip('"').endswith("-2"), "no multipart upload"
    assert {client(s3).head_object(Bucket=BUCKET, Key=key)["ServerSideEncryption"] for key in keys(s3)} == {"aws:kms"}
    assert not uploads(s3)
    shutil.rmtree(jobs.root)
    verified = jobs.run("backup", "verify", "--from", STORE)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    done = restore(jobs, tmp_path / "target")
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "target") == tree(jobs.artifacts)


def test_the_drill_proves_the_bucket_with_the_volume_gone(jobs: Jobs, server: Postgres, s3: str) -> None:
    jobs.both("--upload", STORE)
    shutil.rmtree(jobs.root)
    jobs.root.mkdir()
    done = drill(jobs, server, "--remote", STORE)
    assert done.returncode == 0, done.stderr
    assert f"from {STORE}" in done.stdout
    assert done.stdout.count(": loaded, ") == 2
    damaged = max(keys(s3, "night/objects/"))
    client(s3).put_object(Bucket=BUCKET, Key=damaged, Body=b"something else")
    done = drill(jobs, server, "--remote", STORE)
    assert done.returncode == 2
    assert "the backup is not proven" in done.stderr


def expired(s3: str) -> set[str]:
    """What is given up to the lifecycle."""

    def is_marked(key: str) -> bool:
        tags = client(s3).get_object_tagging(Bucket=BUCKET, Key=key)["TagSet"]
        return {"Key": "churn-expired", "Value": "true"} in tags

    return {key for key in keys(s3) if is_marked(key)}


def test_a_second_night_uploads_only_what_is_new(jobs: Jobs, s3: str) -> None:
    jobs.both("--upload", STORE)
    first = keys(s3)
    (jobs.artifacts / "new.txt").write_text("new")
    jobs.both("--upload", STORE)
    assert len({key for key in keys(s3) - first if "/objects/" in key}) == 1
    assert not expired(s3)


def test_after_90_days_dumps_and_contents_are_given_up_to_the_lifecycle_but_never_the_last(
    jobs: Jobs, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """95 nights that were uploaded long ago, then one tonight; the old ones had a file of their own."""
    for name, value in environment(s3).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(backup_upload, "ABANDONED", timedelta(0))
    old_content = put_nights(s3, NIGHTS)
    jobs.both()
    upload(Root(jobs.root), STORE, keep_days=90, say=lambda _: None)
    marked = expired(s3)
    nights = {key.split("/")[2] for key in marked if "/objects/" not in key}
    assert nights == {backup_id(number) for number in range(1, 2 * NIGHTS + 1)} - kept_nights(NIGHTS)
    assert f"night/{object_key(old_content)}" not in marked, "a night that is kept still has it"
    assert not [key for key in marked if key.split("/")[2] in {path.name for path in jobs.root.glob("*/*")}]


def kept_nights(count: int) -> set[str]:
    """Of the nights long ago: tonight's pair is the newest, and 89 more of each kind stay, whatever their age."""
    return {backup_id(2 * night + kind) for night in range(count - 89, count) for kind in (1, 2)}


def put_nights(s3: str, count: int) -> str:
    """Pairs of manifests that nobody made, and the content that all their trees name; returns its digest."""
    content, made = b"old", datetime.now(UTC) - timedelta(days=500)
    sha256 = hashlib.sha256(content).hexdigest()
    line = json.dumps({"path": "old.txt", "bytes": len(content), "sha256": sha256, "seen": ""}).encode() + b"\n"
    tree_file = {TREE: Digest(bytes=len(line), sha256=hashlib.sha256(line).hexdigest())}
    found: dict[str, bytes] = {object_key(sha256): content}
    for night in range(count):
        at = made + timedelta(days=night)
        dump = dump_manifest(2 * night + 1, finished_at=at)
        artifacts = artifacts_manifest(2 * night + 2, dump.sequence, finished_at=at, files=tree_file)
        found |= {key_of(dump, "manifest.json"): render(dump), key_of(artifacts, "manifest.json"): render(artifacts)}
        found[key_of(artifacts, TREE)] = line
    for key, body in found.items():
        client(s3).put_object(Bucket=BUCKET, Key=f"night/{key}", Body=body)
    return sha256


def test_content_that_is_needed_again_is_uploaded_again(jobs: Jobs, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been given up by then, and an upload takes the mark away."""
    for name, value in environment(s3).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(backup_upload, "ABANDONED", timedelta(0))
    sha256 = hashlib.sha256(b"again").hexdigest()
    key = f"night/{object_key(sha256)}"
    client(s3).put_object(Bucket=BUCKET, Key=key, Body=b"again")
    jobs.both("--upload", STORE)
    upload(Root(jobs.root), STORE, keep_days=90, say=lambda _: None)
    assert expired(s3) == {key}
    (jobs.artifacts / "again.txt").write_bytes(b"again")
    jobs.both("--upload", STORE)
    assert not expired(s3)


def test_a_lifecycle_by_age_alone_is_refused(jobs: Jobs, s3: str) -> None:
    rule = {"ID": "age", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 90}}
    where = {"Bucket": BUCKET, "LifecycleConfiguration": {"Rules": [rule]}}
    client(s3).put_bucket_lifecycle_configuration(**where)
    done = jobs.postgres("--upload", STORE)
    assert done.returncode == 2
    assert "the lifecycle rule 'age' deletes by age" in done.stderr
    rule["Filter"] = {"Tag": {"Key": "churn-expired", "Value": "true"}}
    client(s3).put_bucket_lifecycle_configuration(**where)
    assert jobs.postgres("--upload", STORE).returncode == 0


def test_a_night_without_the_bucket_is_caught_up_with(jobs: Jobs) -> None:
    jobs.both()
    jobs.both("--upload", STORE)
    listed = jobs.run("backup", "list", "--from", STORE)
    assert len([line for line in listed.stdout.splitlines() if re.match(r"\d{8}T", line)]) == 4


@pytest.mark.parametrize("kind", ["bit", "cut", "missing", "other key", "no key"])
def test_damage_in_the_bucket_is_found_and_refused(jobs: Jobs, s3: str, kind: str, tmp_path: Path) -> None:
    jobs.both("--upload", STORE)
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
    verified = jobs.run("backup", "verify", "--from", STORE)
    assert verified.returncode == 1
    assert "DAMAGED" in verified.stdout
    done = restore(jobs, tmp_path / "target")
    assert done.returncode == 2, done.stderr
    assert not (tmp_path / "target").exists() or not list((tmp_path / "target").iterdir())


def test_a_bucket_without_kms_is_refused(jobs: Jobs, s3: str) -> None:
    client(s3).delete_bucket_encryption(Bucket=BUCKET)
    done = jobs.postgres("--upload", STORE)
    assert done.returncode == 2
    assert "not encrypted with KMS by default" in done.stderr


def test_no_bucket_is_said_and_the_backup_on_the_volume_stays(jobs: Jobs) -> None:
    done = jobs.postgres("--upload", "s3://churn-no-such-bucket")
    assert done.returncode == 2
    assert done.stderr.strip() == "Error: s3://churn-no-such-bucket: there is no such bucket"
    assert len(list(jobs.root.glob("postgres/*/manifest.json"))) == 1


def test_artifacts_come_from_a_bucket_and_go_back_into_one(jobs: Jobs, s3: str) -> None:
    encrypted_bucket(s3, "churn-test-artifacts")
    for path, content in tree(jobs.artifacts).items():
        client(s3).put_object(Bucket="churn-test-artifacts", Key=f"artifacts/{path}", Body=content)
    assert jobs.postgres().returncode == 0
    from_bucket = ("artifacts", "--from", "s3://churn-test-artifacts/artifacts", "--to", str(jobs.root))
    done = jobs.run("backup", *from_bucket)
    assert done.returncode == 0, done.stderr
    assert "of which 0 are new" in jobs.run("backup", *from_bucket).stdout
    place = "s3://churn-test-artifacts/restored"
    back = jobs.run("restore", "--from", str(jobs.root), "--artifacts-to", place)
    assert back.returncode == 0, back.stderr
    pages = client(s3).get_paginator("list_objects_v2").paginate(Bucket="churn-test-artifacts", Prefix="restored/")
    found = {
        item["Key"].removeprefix("restored/"): client(s3)
        .get_object(Bucket="churn-test-artifacts", Key=item["Key"])["Body"]
        .read()
        for page in pages
        for item in page["Contents"]
    }
    assert found == tree(jobs.artifacts)
    refused = jobs.run("restore", "--from", str(jobs.root), "--artifacts-to", place)
    assert refused.returncode == 2
    assert "is not empty" in refused.stderr


@pytest.mark.parametrize("fault", ["503", "reset", "cut", "slow"])
def test_passing_faults_are_lived_through(jobs: Jobs, s3: str, fault: str, tmp_path: Path) -> None:
    """Every fifth request fails or takes long; each that fails is tried again."""
    (jobs.artifacts / "large.bin").write_bytes(os.urandom(LARGE // 2))

    def every_fifth(method: str, _path: str, number: int) -> str | None:
        return fault if number % 5 == 0 and (fault != "cut" or method == "GET") else None

    with FaultyProxy(s3, every_fifth) as proxy:
        jobs.environment = environment(proxy.url)
        jobs.both("--upload", STORE)
        done = restore(jobs, tmp_path / "target")
        assert done.returncode == 0, done.stderr
        assert proxy.faults > 3
    assert tree(tmp_path / "target") == tree(jobs.artifacts)


@pytest.mark.parametrize("fault", ["503", "reset"])
def test_a_bucket_that_fails_for_good_fails_the_job_and_deletes_nothing(jobs: Jobs, s3: str, fault: str) -> None:
    jobs.both("--upload", STORE)
    before, on_volume = keys(s3), set(jobs.root.rglob("*"))
    (jobs.artifacts / "large.bin").write_bytes(os.urandom(LARGE))
    # From the first part of the large file on, nothing that is written arrives.
    with FaultyProxy(s3, lambda method, _path, _number: fault if method == "PUT" else None) as proxy:
        jobs.environment = environment(proxy.url)
        done = jobs.copy("--upload", STORE, "--keep-days", "1", "--keep-uploaded", "1")
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "S3 answers SlowDown" in done.stderr or "no answer from S3" in done.stderr
    assert keys(s3) == before
    assert not uploads(s3), "parts are left"
    assert on_volume <= set(jobs.root.rglob("*"))
    assert not (jobs.root / "tmp").exists()


def test_an_unfinished_multipart_upload_is_no_backup(jobs: Jobs, s3: str) -> None:
    client(s3).create_multipart_upload(Bucket=BUCKET, Key="night/postgres/20260101T020000Z-000001/mlflow.dump")
    jobs.both("--upload", STORE)
    listed = jobs.run("backup", "list", "--from", STORE)
    assert listed.returncode == 0
    assert "000001" not in listed.stdout
