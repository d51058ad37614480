"""Faults on the way to S3: passing ones are survived, lasting ones fail the job and lose nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.backup_bucket import BUCKET, LARGE, STORE, keys, restore, unfinished_uploads
from support.backup_jobs import Jobs, files_of
from support.postgres import Postgres
from support.s3 import FaultyProxy, client, environment

pytestmark = [
    pytest.mark.service,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.long(seconds=50, together=__name__),
]


@pytest.mark.parametrize(
    "fault",
    [
        "503",
        *(
            pytest.param(fault, marks=pytest.mark.long(seconds=seconds))
            for fault, seconds in (("reset", 8), ("cut", 8), ("slow", 30))
        ),
    ],
)
def test_passing_faults_are_survived(
    bucket_jobs: Jobs, empty_postgres: Postgres, s3: str, fault: str, tmp_path: Path
) -> None:
    """Every fifth request fails or takes long; each that fails is tried again."""
    (bucket_jobs.artifacts / "large.bin").write_bytes(os.urandom(LARGE // 2))

    def every_fifth(method: str, _path: str, number: int) -> str | None:
        return fault if number % 5 == 0 and (fault != "cut" or method == "GET") else None

    with FaultyProxy(s3, every_fifth) as proxy:
        bucket_jobs.environment = environment(proxy.url)
        bucket_jobs.both("--upload", STORE)
        done = restore(bucket_jobs, empty_postgres, tmp_path / "target")
        assert done.returncode == 0, done.stderr
        assert proxy.faults > 3
    assert files_of(tmp_path / "target") == files_of(bucket_jobs.artifacts)


@pytest.mark.parametrize("fault", ["503", pytest.param("reset", marks=pytest.mark.long(seconds=8))])
def test_a_bucket_that_fails_for_good_fails_the_job_and_deletes_nothing(bucket_jobs: Jobs, s3: str, fault: str) -> None:
    bucket_jobs.both("--upload", STORE)
    before, on_volume = keys(s3), set(bucket_jobs.root.rglob("*"))
    (bucket_jobs.artifacts / "large.bin").write_bytes(os.urandom(LARGE))
    # Beginning with the first part of the large file, no upload arrives.
    with FaultyProxy(s3, lambda method, _path, _number: fault if method == "PUT" else None) as proxy:
        bucket_jobs.environment = environment(proxy.url)
        done = bucket_jobs.copy("--upload", STORE, "--keep-days", "1", "--keep-uploaded", "1")
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "S3 answers SlowDown" in done.stderr or "no answer from S3" in done.stderr
    assert keys(s3) == before
    assert not unfinished_uploads(s3), "parts are left"
    assert on_volume <= set(bucket_jobs.root.rglob("*"))
    assert not (bucket_jobs.root / "tmp").exists()


def test_an_unfinished_multipart_upload_is_not_a_backup(bucket_jobs: Jobs, s3: str) -> None:
    client(s3).create_multipart_upload(Bucket=BUCKET, Key="night/postgres/20260101T020000Z-000001/mlflow.dump")
    bucket_jobs.both("--upload", STORE)
    listed = bucket_jobs.run("backup", "list", "--from", STORE)
    assert listed.returncode == 0
    assert "000001" not in listed.stdout
