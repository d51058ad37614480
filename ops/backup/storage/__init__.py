"""Where files are kept: one interface, a folder and a bucket behind it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from ops.backup.storage.base import Storage
from ops.backup.storage.folder import FolderStorage
from ops.errors import OpsError

S3: Final = "s3://"


def open_backups(name: str, as_of: datetime | None = None) -> Storage:
    """Open the backups that a person names: a folder, or s3://bucket[/prefix].

    What is read from a bucket must be encrypted with the bucket's own key. With ``as_of``, a bucket is read as it was
    at that time.

    Raises:
        OpsError: there is no such folder, no bucket in the name, or a time for a folder, which has no past.
    """
    if as_of is not None:
        if not name.startswith(S3):
            raise OpsError(f"--as-of needs the versions of a bucket, and {name} is a folder: leave it out")
        from ops.backup.storage.as_of import BucketAsOf  # noqa: PLC0415  # boto3 takes half a second to load

        return BucketAsOf(name, as_of, require_encryption=True)
    return _open(name, "backups", require_encryption=True)


def open_artifacts(name: str) -> Storage:
    """Open MLflow's artifacts: a folder, or s3://bucket[/prefix].

    Raises:
        OpsError: there is no such folder, or no bucket in the name.
    """
    return _open(name, "MLflow's artifacts", require_encryption=False)


def _open(name: str, content: str, *, require_encryption: bool) -> Storage:
    if name.startswith(S3):
        from ops.backup.storage.bucket import BucketStorage  # noqa: PLC0415  # boto3 takes half a second to load

        return BucketStorage(name, require_encryption=require_encryption)
    if not Path(name).is_dir():
        raise OpsError(f"{name}: there is no such folder with {content}")
    return FolderStorage(Path(name))
