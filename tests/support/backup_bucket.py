"""A bucket that backups are uploaded to, as tests see it from outside."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from support.backup_jobs import Jobs, superuser
from support.postgres import Postgres
from support.s3 import client

BUCKET = "churn-test-backups"
STORE = f"s3://{BUCKET}/night"
EXPIRED = {"Key": "churn-expired", "Value": "true"}
LARGE = 20 * 1024 * 1024
"""Bytes of a file that is uploaded in two parts."""


def keys(s3: str, prefix: str = "night/") -> set[str]:
    """The keys of all objects below a prefix."""
    pages = client(s3).get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return {item["Key"] for page in pages for item in page.get("Contents", ())}


def unfinished_uploads(s3: str) -> list[Any]:
    """Multipart uploads that were neither completed nor aborted."""
    uploads: list[Any] = client(s3).list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    return uploads


def expired(s3: str) -> set[str]:
    """The keys of objects that the lifecycle may delete."""

    def is_marked(key: str) -> bool:
        return EXPIRED in client(s3).get_object_tagging(Bucket=BUCKET, Key=key)["TagSet"]

    return {key for key in keys(s3) if is_marked(key)}


def restore(jobs: Jobs, server: Postgres, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Restore the newest backup of the bucket."""
    return jobs.run("restore", "--from", STORE, "--to", superuser(server), "--artifacts-to", str(folder), *options)
