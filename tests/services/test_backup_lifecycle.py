"""What expires in the bucket is marked for its lifecycle to delete, and nothing else."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.backup_bucket import BUCKET, EXPIRED, STORE, expired, keys, restore
from support.backup_jobs import Jobs, files_of
from support.backups import artifacts_manifest, backup_id, dump_manifest
from support.postgres import Postgres
from support.s3 import client, environment

from ops.backup import expiry
from ops.backup.catalog import key_of
from ops.backup.expiry import expire
from ops.backup.manifest import TREE, Digest, object_key, render
from ops.backup.root import Root
from ops.backup.upload import upload

NIGHTS = 95
pytestmark = [pytest.mark.service, pytest.mark.filterwarnings("ignore::ResourceWarning")]
SELDOM = pytest.mark.long(seconds=70, together=__name__)


def test_a_second_night_uploads_only_what_is_new(bucket_jobs: Jobs, s3: str) -> None:
    bucket_jobs.both("--upload", STORE)
    first = keys(s3)
    (bucket_jobs.artifacts / "new.txt").write_text("new")
    bucket_jobs.both("--upload", STORE)
    assert len({key for key in keys(s3) - first if "/objects/" in key}) == 1
    assert not expired(s3)


@SELDOM
def test_after_90_days_dumps_and_contents_are_left_to_the_lifecycle_but_never_the_last(
    bucket_jobs: Jobs, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """95 nights that were uploaded long ago, then one tonight; the old ones had a file that tonight's lacks."""
    for name, value in environment(s3).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(expiry, "ABANDONED", timedelta(0))
    old_content = put_nights(s3, NIGHTS)
    bucket_jobs.both()
    upload(Root(bucket_jobs.root), STORE, keep_days=90, say=lambda _: None)
    assert not expired(s3), "what uploads marks nothing"
    expire(STORE, keep_days=90, say=lambda _: None)
    marked = expired(s3)
    nights = {key.split("/")[2] for key in marked if "/objects/" not in key}
    assert nights == {backup_id(number) for number in range(1, 2 * NIGHTS + 1)} - kept_nights(NIGHTS)
    assert f"night/{object_key(old_content)}" not in marked, "a night that stays still names it"
    assert not [key for key in marked if key.split("/")[2] in {path.name for path in bucket_jobs.root.glob("*/*")}]


def kept_nights(count: int) -> set[str]:
    """The old nights that stay: tonight's pair is the newest, and 89 more of each kind stay, whatever their age."""
    return {backup_id(2 * night + kind) for night in range(count - 89, count) for kind in (1, 2)}


def put_nights(s3: str, count: int) -> str:
    """Put made-up pairs of manifests into the bucket, and the content that all their trees name; returns its digest."""
    content, start = b"old", datetime.now(UTC) - timedelta(days=500)
    sha256 = hashlib.sha256(content).hexdigest()
    line = json.dumps({"path": "old.txt", "bytes": len(content), "sha256": sha256, "seen": ""}).encode() + b"\n"
    tree_file = {TREE: Digest(bytes=len(line), sha256=hashlib.sha256(line).hexdigest())}
    objects: dict[str, bytes] = {object_key(sha256): content}
    for night in range(count):
        at = start + timedelta(days=night)
        dump = dump_manifest(2 * night + 1, finished_at=at)
        artifacts = artifacts_manifest(2 * night + 2, dump.sequence, finished_at=at, files=tree_file)
        objects |= {key_of(dump, "manifest.json"): render(dump), key_of(artifacts, "manifest.json"): render(artifacts)}
        objects[key_of(artifacts, TREE)] = line
    for key, body in objects.items():
        client(s3).put_object(Bucket=BUCKET, Key=f"night/{key}", Body=body)
    return sha256


@SELDOM
def test_content_that_is_needed_again_is_uploaded_again(
    bucket_jobs: Jobs, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be marked by then, and an upload removes the mark."""
    for name, value in environment(s3).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(expiry, "ABANDONED", timedelta(0))
    sha256 = hashlib.sha256(b"again").hexdigest()
    key = f"night/{object_key(sha256)}"
    client(s3).put_object(Bucket=BUCKET, Key=key, Body=b"again")
    bucket_jobs.both("--upload", STORE)
    expire(STORE, keep_days=90, say=lambda _: None)
    assert expired(s3) == {key}
    (bucket_jobs.artifacts / "again.txt").write_bytes(b"again")
    bucket_jobs.both("--upload", STORE)
    assert not expired(s3)


@SELDOM
def test_what_was_overwritten_is_uploaded_again_and_restored_as_it_was(
    bucket_jobs: Jobs, empty_postgres: Postgres, s3: str, tmp_path: Path
) -> None:
    """Somebody overwrites everything; a restore reads the bucket as it was, and the next night repairs it."""
    bucket_jobs.both("--upload", STORE)
    time.sleep(1.1)  # S3's times are whole seconds
    before = datetime.now(UTC)
    time.sleep(1.1)
    for key in keys(s3):
        size = client(s3).head_object(Bucket=BUCKET, Key=key)["ContentLength"]
        client(s3).put_object(Bucket=BUCKET, Key=key, Body=b"x" * size)
    assert restore(bucket_jobs, empty_postgres, tmp_path / "refused").returncode == 2
    as_of = ("--as-of", f"{before:%Y-%m-%dT%H:%M:%S}")
    done = restore(bucket_jobs, empty_postgres, tmp_path / "target", *as_of)
    assert done.returncode == 0, done.stderr
    assert files_of(tmp_path / "target") == files_of(bucket_jobs.artifacts)
    bucket_jobs.both("--upload", STORE)
    verified = bucket_jobs.run("backup", "verify", "--from", STORE)
    assert verified.returncode == 0, verified.stdout + verified.stderr


@SELDOM
def test_a_lifecycle_by_age_alone_is_refused(bucket_jobs: Jobs, s3: str) -> None:
    rule = {"ID": "age", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 90}}
    where = {"Bucket": BUCKET, "LifecycleConfiguration": {"Rules": [rule]}}
    client(s3).put_bucket_lifecycle_configuration(**where)
    done = bucket_jobs.postgres("--upload", STORE)
    assert done.returncode == 2
    assert "the lifecycle rule 'age' deletes by age" in done.stderr
    rule["Filter"] = {"Tag": EXPIRED}
    client(s3).put_bucket_lifecycle_configuration(**where)
    assert bucket_jobs.postgres("--upload", STORE).returncode == 0
