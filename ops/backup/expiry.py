"""Marks what has expired in a bucket, so that its lifecycle may delete it.

This runs with a role of its own, which can write no object: the backup's role can write and not mark, this one can mark
and not write, and neither can delete. The tag ``churn-expired`` alone deletes nothing. The lifecycle asks for the tag
*and* an age of 90 days, and keeps the version that it hides for weeks more. The last good copy never gets the tag, so
it stays however long no new one arrives. Contents are shared by many backups: they get the tag once no backup that
stays names them.

A tag is put on the version that was listed, before anything else was read. A backup that uploads the same content again
meanwhile makes a newer version, which has no tag.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from ops.backup.catalog import Catalog, key_of
from ops.backup.manifest import MANIFEST, OBJECTS
from ops.backup.storage.bucket import Version
from ops.backup.upload import Bucket, expired, used

ABANDONED: Final = timedelta(days=1)
"""Age from which content that no manifest names cannot belong to an upload that is still running."""
Say = Callable[[str], None]


def expire(name: str, *, keep_days: int, say: Say) -> int:
    """Mark the backups of a bucket that have expired, and contents that no other backup names; returns how many files.

    Raises:
        OpsError: the bucket cannot be used, or its lifecycle would delete what is not marked.
    """
    bucket = Bucket.open(name)
    bucket.check_lifecycle()
    current = {version.key: version for version in bucket.storage.versions() if version.is_current}
    catalog, now = Catalog(bucket.storage), datetime.now(UTC)
    old, staying = expired(catalog, keep_days)
    marked = 0
    for manifest in old:
        keys = [key_of(manifest, file) for file in (*manifest.files, MANIFEST)]
        marked += _mark(bucket, [current[key] for key in keys if key in current])
        say(f"marked {manifest.kind} {manifest.id} in {bucket.storage.name} as expired: older than {keep_days} days")
    if catalog.unreadable:
        say(f"attention: {catalog.unreadable[0].key} in {bucket.storage.name}: {catalog.unreadable[0].why}")
        return marked
    needed, all_read = used(bucket, staying, say)
    if not all_read:  # what a damaged tree names is not known, so no content may go
        return marked
    contents = [version for key, version in current.items() if key.startswith(f"{OBJECTS}/") and key not in needed]
    return marked + _mark(bucket, [version for version in contents if now - version.modified > ABANDONED])


def _mark(bucket: Bucket, versions: list[Version]) -> int:
    for version in versions:
        bucket.mark(version.key, version.id)
    return len(versions)
