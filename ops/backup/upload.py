"""Copies finished backups into a bucket, contents first and manifests last, and marks there what has expired.

Backups of earlier nights that the bucket lacks are uploaded too. Nothing is ever deleted from here, so that whoever
takes over this job cannot delete anything either: an expired file gets the tag ``churn-expired``, and the bucket's
lifecycle deletes what has the tag *and* is 90 days old. Both have to agree. The last good copy never gets the tag, so
it stays however long no new one arrives. Contents are shared by many backups: they get the tag once no backup that
stays names them.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ops.backup import retention
from ops.backup.catalog import Catalog, key_of, tree_of
from ops.backup.manifest import MANIFEST, OBJECTS, ArtifactsManifest, Manifest
from ops.backup.root import Root
from ops.backup.storage.bucket import BucketStorage
from ops.backup.storage.s3_client import WORKERS, s3_errors
from ops.errors import OpsError

EXPIRED: Final = {"Key": "churn-expired", "Value": "true"}
"""The only rule of the bucket's lifecycle that deletes current objects must require this tag."""
ABANDONED: Final = timedelta(days=1)
"""Age from which content that no manifest names cannot belong to an upload that is still running."""
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """The bucket that gets a copy of a root."""

    storage: BucketStorage

    @classmethod
    def open(cls, name: str) -> Bucket:
        """The bucket that a person names, s3://bucket[/prefix]; everything in it must be encrypted with its own key."""
        return cls(storage=BucketStorage(name, require_encryption=True))

    def put(self, root: Root, key: str) -> int:
        """Upload a file of the root; returns its size."""
        return self.storage.put(key, root.path / key)

    def mark(self, key: str) -> None:
        """Let the lifecycle delete a file."""
        with s3_errors(self.storage.path(key)):
            self.storage.client.put_object_tagging(**self.storage.address(key), Tagging={"TagSet": [EXPIRED]})

    def check_lifecycle(self) -> None:
        """Refuse a bucket that deletes by age alone: a content is as old as the first backup that has it.

        Raises:
            OpsError: it names the rule.
        """
        client, bucket = self.storage.client, self.storage.location.bucket
        with s3_errors(self.storage.name):
            try:
                answer = client.get_bucket_lifecycle_configuration(Bucket=bucket)
            except client.exceptions.ClientError as error:
                if error.response["Error"]["Code"] != "NoSuchLifecycleConfiguration":
                    raise
                return
        for rule in answer["Rules"]:
            if rule["Status"] == "Enabled" and "Expiration" in rule and not _requires_tag(rule.get("Filter", {})):
                raise OpsError(
                    f"{self.storage.name}: the lifecycle rule {rule.get('ID')!r} deletes by age, which would take "
                    f"contents of later backups: let its filter ask for the tag {EXPIRED['Key']}={EXPIRED['Value']}"
                )


def _requires_tag(rule_filter: dict[str, Any]) -> bool:
    return rule_filter.get("Tag") == EXPIRED or EXPIRED in rule_filter.get("And", {}).get("Tags", ())


def upload(root: Root, name: str, *, keep_days: int, say: Say) -> None:
    """Bring a bucket up to date with a root; only if that succeeds are old backups in the bucket marked.

    Raises:
        OpsError: the bucket cannot be used, or is not encrypted as it should be; TemporaryError where it may pass.
    """
    bucket = Bucket.open(name)
    bucket.check_lifecycle()
    catalog = Catalog(bucket.storage)
    uploaded = {manifest.id for manifest in catalog.all}
    missing = sorted((m for m in Catalog(root.storage).all if m.id not in uploaded), key=lambda m: m.sequence)
    if any(isinstance(manifest, ArtifactsManifest) for manifest in missing):
        safe = _safe_contents(bucket, catalog, keep_days)
    else:
        safe = {}
    for manifest in missing:
        size = _upload_one(root, bucket, manifest, safe)
        say(f"uploaded {manifest.kind} {manifest.id} to {bucket.storage.name}: {size} bytes")
    _mark_expired(bucket, {manifest.id for manifest in Catalog(root.storage).all}, keep_days, say)


def _safe_contents(bucket: Bucket, catalog: Catalog, keep_days: int) -> dict[str, int]:
    """Size by key of each content in the bucket that a backup which stays names; any other may be marked already."""
    used = _used(bucket, _expired(catalog, keep_days)[1])
    return {item.key: item.bytes for item in bucket.storage.items(OBJECTS) if item.key in used}


def _upload_one(root: Root, bucket: Bucket, manifest: Manifest, safe: dict[str, int]) -> int:
    keys: list[str] = []
    if isinstance(manifest, ArtifactsManifest):
        needed = {artifact.key: artifact.bytes for artifact in tree_of(root.storage, manifest)}
        keys = [key for key, size in needed.items() if safe.get(key) != size]
        safe |= needed
    with ThreadPoolExecutor(WORKERS) as pool:
        jobs = [pool.submit(bucket.put, root, key) for key in keys]
        try:
            size = sum(job.result() for job in jobs)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    size += sum(bucket.put(root, key_of(manifest, name)) for name in manifest.files)
    return size + bucket.put(root, key_of(manifest, MANIFEST))


def _expired(catalog: Catalog, keep_days: int) -> tuple[list[Manifest], list[ArtifactsManifest]]:
    """Backups that have expired, and the artifact backups that have not."""
    old = retention.expired(catalog.postgres, catalog.artifacts, now=datetime.now(UTC), keep_days=keep_days)
    return [*old.artifacts, *old.postgres], [backup for backup in catalog.artifacts if backup not in old.artifacts]


def _used(bucket: Bucket, backups: list[ArtifactsManifest]) -> set[str]:
    return {artifact.key for backup in backups for artifact in tree_of(bucket.storage, backup)}


def _mark_expired(bucket: Bucket, on_volume: set[str], keep_days: int, say: Say) -> None:
    catalog, now = Catalog(bucket.storage), datetime.now(UTC)
    old, staying = _expired(catalog, keep_days)
    for manifest in old:
        if manifest.id in on_volume:  # the volume still has it, so its time here has not come
            continue
        for name in (*manifest.files, MANIFEST):
            bucket.mark(key_of(manifest, name))
        say(f"marked {manifest.kind} {manifest.id} in {bucket.storage.name} as expired: older than {keep_days} days")
    if catalog.unreadable:
        say(f"attention: {catalog.unreadable[0].key} in {bucket.storage.name}: {catalog.unreadable[0].why}")
        return
    used = _used(bucket, staying)
    for item in bucket.storage.items(OBJECTS):
        if item.key not in used and now - item.modified > ABANDONED:
            bucket.mark(item.key)
