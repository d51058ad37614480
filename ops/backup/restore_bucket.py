"""Restores artifacts into a bucket: every object is read back and compared before it counts as restored."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from ops.backup.manifest import Artifact, Digest, digest
from ops.backup.restore_artifacts import check, for_each
from ops.backup.storage.base import Storage
from ops.backup.storage.bucket import BucketStorage
from ops.errors import OpsError


def check_bucket(name: str, *, replace: bool) -> None:
    """Refuse a prefix that has objects.

    Raises:
        OpsError: it has some, and the operator did not say to replace them.
    """
    target = _open(name)
    if not replace and any(True for _ in target.items()):
        raise OpsError(
            f"{target.name} is not empty: nothing was changed; name an empty prefix, or use --replace to write the "
            "backup over it (files that the backup does not have stay; the bucket keeps the old versions of the others)"
        )


def restore_bucket(storage: Storage, tree: Iterable[Artifact], name: str) -> None:
    """Upload a tree, and read every object back.

    Raises:
        OpsError: an artifact is missing or is not what the tree says; what was uploaded before that stays.
    """
    target = _open(name)
    with tempfile.TemporaryDirectory(prefix="churn-restore-") as folder:
        for_each(tree, lambda artifact: _put(storage, artifact, target, Path(folder)))


def _open(name: str) -> BucketStorage:
    return BucketStorage(name, require_encryption=False)


def _put(storage: Storage, artifact: Artifact, target: BucketStorage, scratch: Path) -> None:
    with storage.local(artifact.key, scratch) as path:
        check(artifact, digest(path))
        target.put(artifact.path, path)
    if target.copy(artifact.path) != Digest(bytes=artifact.bytes, sha256=artifact.sha256):
        raise OpsError(f"{target.path(artifact.path)} is not what was uploaded")
