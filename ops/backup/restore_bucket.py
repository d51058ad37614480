"""Brings an artifact tree back into a bucket: what is there is compared by digest before it counts as restored."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ops.backup.manifest import Artifact, Digest, digest
from ops.backup.restore_artifacts import check, each
from ops.backup.s3_client import TRANSFER, Place, new_client, pages, told
from ops.backup.store import Hashing, Store
from ops.errors import OpsError


def check_bucket(name: str, *, replace: bool) -> None:
    """Refuse a prefix with content.

    Raises:
        OpsError: it has some, and nobody said to replace it.
    """
    place, client = Place.parse(name), new_client()
    if not replace and any(True for _ in pages(client, place)):
        raise OpsError(
            f"{place} is not empty: nothing is touched; name an empty prefix, or say --replace to write the backup "
            "over it (files that the backup does not have stay; the bucket's versions keep what is written over)"
        )


def restore_bucket(store: Store, tree: Iterable[Artifact], name: str) -> None:
    """Upload a tree, and read every object back.

    Raises:
        OpsError: an artifact is missing or is not what the tree says; what was uploaded so far stays.
    """
    place, client = Place.parse(name), new_client()
    with tempfile.TemporaryDirectory(prefix="churn-restore-") as folder:
        each(tree, lambda artifact: _put(store, artifact, place, client, Path(folder)))


def _put(store: Store, artifact: Artifact, place: Place, client: Any, scratch: Path) -> None:
    key = place.prefix + artifact.path
    with store.local(artifact.key, scratch) as path, told(f"s3://{place.bucket}/{key}"):
        check(artifact, digest(path))
        client.upload_file(str(path), place.bucket, key, ExtraArgs={"ChecksumAlgorithm": "SHA256"}, Config=TRANSFER)
        into = Hashing(None)
        for chunk in client.get_object(Bucket=place.bucket, Key=key)["Body"].iter_chunks(1024 * 1024):
            into.write(chunk)
    if into.digest != Digest(bytes=artifact.bytes, sha256=artifact.sha256):
        raise OpsError(f"s3://{place.bucket}/{key} is not what was uploaded")
