"""Copies finished backups into a bucket, contents first and manifests last, and marks there what has had its time.

What the bucket lacks of earlier nights is caught up with. Nothing is ever deleted from here, so that whoever takes over
this job cannot either: what has had its time gets the tag ``churn-expired``, and the bucket's lifecycle deletes what
has the tag *and* is 90 days old. So both have to agree, and the last good copy, which never gets the tag, stays however
long no new one comes. Contents are shared by many backups: they get it once no backup that is kept names them.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ops.backup import retention as backup_retention
from ops.backup.bucket import BucketStore
from ops.backup.catalog import Catalog, key_of, tree_of
from ops.backup.manifest import MANIFEST, OBJECTS, ArtifactsManifest, Manifest
from ops.backup.root import Root
from ops.backup.s3_client import TRANSFER, WORKERS, told
from ops.errors import OpsError

EXPIRED: Final = {"Key": "churn-expired", "Value": "true"}
"""The only rule of the bucket's lifecycle that deletes current objects must ask for this tag."""
ABANDONED: Final = timedelta(days=1)
"""After which content that no manifest names belongs to no upload under way."""
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """Where to. What is put there is encrypted with the bucket's own default key."""

    store: BucketStore

    def put(self, root: Root, key: str) -> int:
        """Upload a file of the root; returns its size. S3 compares checksums; encryption is looked at afterwards."""
        store, path = self.store, root.path / key
        size, name = path.stat().st_size, store.place.prefix + key
        with told(f"{store.name}/{key}"):
            arguments = {"ChecksumAlgorithm": "SHA256"}
            store.client.upload_file(str(path), store.place.bucket, name, ExtraArgs=arguments, Config=TRANSFER)
            head = store.client.head_object(Bucket=store.place.bucket, Key=name)
        if head["ContentLength"] != size:
            raise OpsError(f"{store.name}/{key} has {head['ContentLength']} bytes after the upload of {size}")
        store.check_encryption(key, head)
        return size

    def mark(self, key: str) -> None:
        """Give a file up to the lifecycle."""
        place = self.store.place
        with told(f"{self.store.name}/{key}"):
            self.store.client.put_object_tagging(
                Bucket=place.bucket, Key=place.prefix + key, Tagging={"TagSet": [EXPIRED]}
            )

    def check_lifecycle(self) -> None:
        """Refuse a bucket that deletes by age alone: a content is as old as the first backup that has it.

        Raises:
            OpsError: it names the rule.
        """
        with told(self.store.name):
            try:
                answer = self.store.client.get_bucket_lifecycle_configuration(Bucket=self.store.place.bucket)
            except self.store.client.exceptions.ClientError as error:
                if error.response["Error"]["Code"] != "NoSuchLifecycleConfiguration":
                    raise
                return
        for rule in answer["Rules"]:
            if rule["Status"] == "Enabled" and "Expiration" in rule and not _asks_for_tag(rule.get("Filter", {})):
                raise OpsError(
                    f"{self.store.name}: the lifecycle rule {rule.get('ID')!r} deletes by age, which would take "
                    f"contents of later backups: let its filter ask for the tag {EXPIRED['Key']}={EXPIRED['Value']}"
                )


def _asks_for_tag(given: dict[str, Any]) -> bool:
    return given.get("Tag") == EXPIRED or EXPIRED in given.get("And", {}).get("Tags", ())


def upload(root: Root, name: str, *, keep_days: int, say: Say) -> None:
    """Bring a bucket up to date with a root; old backups there are marked only if all of it went well.

    Raises:
        OpsError: the bucket cannot be used, or is not encrypted as it should be; TemporaryError where it may pass.
    """
    bucket = Bucket(store=BucketStore(name))
    bucket.check_lifecycle()
    catalog = Catalog(bucket.store)
    there = {manifest.id for manifest in catalog.all}
    missing = sorted((m for m in Catalog(root.store).all if m.id not in there), key=lambda m: m.sequence)
    if any(isinstance(manifest, ArtifactsManifest) for manifest in missing):
        safe = _contents(bucket, catalog, keep_days)
    else:
        safe = {}
    for manifest in missing:
        size = _upload_one(root, bucket, manifest, safe)
        say(f"uploaded {manifest.kind} {manifest.id} to {bucket.store.name}: {size} bytes")
    _mark(bucket, {manifest.id for manifest in Catalog(root.store).all}, keep_days, say)


def _contents(bucket: Bucket, catalog: Catalog, keep_days: int) -> dict[str, int]:
    """Size by key of each content that is there and that a backup which is kept names; others may be given up."""
    used = _used(bucket, _expired(catalog, keep_days)[1])
    return {item.key: item.bytes for item in bucket.store.items(OBJECTS) if item.key in used}


def _upload_one(root: Root, bucket: Bucket, manifest: Manifest, safe: dict[str, int]) -> int:
    keys: list[str] = []
    if isinstance(manifest, ArtifactsManifest):
        wanted = {artifact.key: artifact.bytes for artifact in tree_of(root.store, manifest)}
        keys = [key for key, size in wanted.items() if safe.get(key) != size]
        safe |= wanted
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
    """Backups that have had their time, and the artifact backups that have not."""
    old = backup_retention.expired(catalog.postgres, catalog.artifacts, now=datetime.now(UTC), keep_days=keep_days)
    return [*old.artifacts, *old.postgres], [kept for kept in catalog.artifacts if kept not in old.artifacts]


def _used(bucket: Bucket, kept: list[ArtifactsManifest]) -> set[str]:
    return {artifact.key for artifacts in kept for artifact in tree_of(bucket.store, artifacts)}


def _mark(bucket: Bucket, here: set[str], keep_days: int, say: Say) -> None:
    catalog, now = Catalog(bucket.store), datetime.now(UTC)
    old, kept = _expired(catalog, keep_days)
    for manifest in old:
        if manifest.id in here:  # the volume keeps it still, so its time here has not come
            continue
        for name in (*manifest.files, MANIFEST):
            bucket.mark(key_of(manifest, name))
        say(f"{manifest.kind} {manifest.id} in {bucket.store.name} had its {keep_days} days: left to the lifecycle")
    if catalog.unreadable:
        say(f"attention: {catalog.unreadable[0].key} in {bucket.store.name}: {catalog.unreadable[0].why}")
        return
    used = _used(bucket, kept)
    for item in bucket.store.items(OBJECTS):
        if item.key not in used and now - item.modified > ABANDONED:
            bucket.mark(item.key)
