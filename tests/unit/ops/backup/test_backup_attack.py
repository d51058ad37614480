"""Whoever takes over the backup job, or even the account, destroys nothing that restores one of the last 30 days.

The jobs' own code runs night by night with the roles that the recorded stacks give them, against a stand-in for S3 that
asks a simulator of IAM about each request.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from support.attacked_bucket import NEEDED_DAYS, History, attack
from support.iam import Identity, Request, allowed

from infra.aws import bucket as aws_bucket
from infra.aws import storage as aws_storage
from ops.backup import upload as backup_upload
from ops.backup.storage.bucket import BucketStorage

EVERYTHING = Identity(
    arn="arn:aws:iam::000000000000:role/administrator",
    statements=[{"Effect": "Allow", "Action": ["s3:*", "kms:*"], "Resource": "*"}],
)
SELDOM = pytest.mark.long(seconds=60, together=__name__)
ON_BUCKET = (
    "s3:BypassGovernanceRetention", "s3:DeleteBucket", "s3:DeleteBucketPolicy", "s3:DeleteObject",
    "s3:DeleteObjectTagging", "s3:DeleteObjectVersion", "s3:PutBucketObjectLockConfiguration", "s3:PutBucketPolicy",
    "s3:PutBucketVersioning", "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration", "s3:PutObjectLegalHold",
    "s3:PutObjectTagging", "s3:PutObjectVersionTagging", "s3:PutReplicationConfiguration", "s3:ReplicateDelete",
)  # fmt: skip


def run(history: History, days: int, attacker: Identity, *, marks: bool = True) -> tuple[dict[str, int], list[str]]:
    """Days of peace, then as many of attacks as may pass before somebody notices; returns the attacks, and the losses.

    The losses are what the last 30 days before the first attack miss, when they are restored as they were then.
    """
    for day in range(days):
        history.night(day)
    before = history.clock.time
    done: dict[str, int] = {}
    for day in range(days, days + NEEDED_DAYS):
        history.clock.time = before + timedelta(days=day - days, hours=1)
        for kind, count in attack(history.bucket, attacker, forge=day == days).items():
            done[kind] = done.get(kind, 0) + count
        if marks:
            history.night(day)
        history.clock.time = before + timedelta(days=day - days + 1)
        history.bucket.live()
    return done, history.lost(range(max(0, days - NEEDED_DAYS), days), before)


@pytest.mark.parametrize("stack", [pytest.param("staging", marks=SELDOM), "prod"])
def test_a_thief_of_the_backups_role_destroys_no_day_of_the_last_30(stack: str, tmp_path: Path) -> None:
    history = History(stack, tmp_path)
    done, lost = run(history, 12, history.writer)
    assert set(done) == {"overwrite", "forge"}, "the thief can do no more, and no less, than write"
    assert lost == []


@pytest.mark.long(seconds=150)
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_so_it_is_after_400_days(stack: str, tmp_path: Path) -> None:
    history = History(stack, tmp_path)
    assert run(history, 400, history.writer)[1] == []


def test_an_administrator_cannot_delete_a_day_of_the_last_30_from_prod(tmp_path: Path) -> None:
    """Contents that are older than their first lock are among them: the job extends it when it uses them again."""
    history = History("prod", tmp_path)
    for day in range(45):
        history.night(day)
    before = history.clock.time
    history.clock.time += timedelta(hours=1)
    assert attack(history.bucket, EVERYTHING, forge=True)["delete version"] > 0
    assert history.lost(range(45 - NEEDED_DAYS + 1, 45), before) == []


@SELDOM
def test_without_extended_locks_an_administrator_deletes_old_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simulation can fail: this is what happened before."""
    monkeypatch.setattr(BucketStorage, "lock", lambda *_: None)
    history = History("prod", tmp_path)
    for day in range(45):
        history.night(day)
    before = history.clock.time
    history.clock.time += timedelta(hours=1)
    attack(history.bucket, EVERYTHING, forge=True)
    assert history.lost(range(44, 45), before)


def test_where_old_versions_go_after_a_day_the_thief_wins(tmp_path: Path) -> None:
    """The simulation can fail: this is what happened before."""
    history = History("staging", tmp_path)
    for rule in history.bucket.rules:
        rule.get("NoncurrentVersionExpiration", {})["NoncurrentDays"] = 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backup_upload, "OLD_VERSION_DAYS", 1)
        assert run(history, 10, history.writer, marks=False)[1]


@SELDOM
@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_a_thief_of_the_marking_role_hides_files_and_destroys_none(stack: str, tmp_path: Path) -> None:
    """The lifecycle hides what is marked and 90 days old, as the oldest contents are before the 30 days are over."""
    history = History(stack, tmp_path)
    done, lost = run(history, 75, history.marker)
    assert set(done) == {"mark version"}
    assert lost == []


@pytest.mark.parametrize("stack", ["staging", "prod"])
@pytest.mark.parametrize("action", ON_BUCKET)
def test_the_backups_role_cannot_change_the_bucket(stack: str, action: str, tmp_path: Path) -> None:
    history = History(stack, tmp_path)
    for resource in (history.bucket.arn, f"{history.bucket.arn}/objects/aa/bb"):
        assert not allowed(history.writer, Request(action=action, resource=resource))


def test_a_lock_can_be_extended_by_weeks_and_not_by_years(tmp_path: Path) -> None:
    history = History("prod", tmp_path)
    where = f"{history.bucket.arn}/objects/aa/bb"

    def may(mode: str, days: int) -> bool:
        context = {"s3:object-lock-mode": mode, "s3:object-lock-remaining-retention-days": days}
        return allowed(history.writer, Request(action="s3:PutObjectRetention", resource=where, context=context))

    longest = aws_storage.LOCK_DAYS + backup_upload.RENEW_DAYS
    assert [may("COMPLIANCE", days) for days in (longest, longest + 1, longest + 2)] == [True, True, False]
    assert not may("GOVERNANCE", 1)


def test_the_stand_in_has_one_bucket_and_no_checksum_that_nobody_asked_for(tmp_path: Path) -> None:
    bucket = History("staging", tmp_path).bucket
    client, key = bucket.client(EVERYTHING), "objects/aa/bb"
    with pytest.raises(ClientError, match="NoSuchBucket"):
        client.put_object(Bucket="another", Key=key, Body=b"x")
    for options, expected in (({}, False), ({"ChecksumAlgorithm": "SHA256"}, True)):
        client.put_object(Bucket=bucket.name, Key=key, Body=b"x", **options)
        head = client.head_object(Bucket=bucket.name, Key=key, ChecksumMode="ENABLED")
        assert ("ChecksumSHA256" in head) is expected


def test_the_job_and_the_stack_agree_on_days() -> None:
    assert aws_storage.RENEW_DAYS == backup_upload.RENEW_DAYS
    assert aws_bucket.OLD_VERSION_DAYS > backup_upload.OLD_VERSION_DAYS == NEEDED_DAYS == aws_storage.LOCK_DAYS
