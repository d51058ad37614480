"""Copies finished backups into a bucket, contents first and manifests last, and deletes there what has had its time.

What the bucket lacks of an earlier night is caught up with. The bucket's lifecycle deletes what carries the tag
``churn-superseded``: a dump or tree gets it once a newer backup is there, so the newest never expires, however long no
new one comes. Contents are shared by many backups and have no tag: they are deleted here, once nothing names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ops import backup_retention
from ops.backup_bucket import BucketStore
from ops.backup_manifest import MANIFEST, OBJECTS, ArtifactsManifest, Manifest
from ops.backup_root import Root
from ops.backup_store import Item
from ops.backups import Catalog, key_of, tree_of
from ops.errors import OpsError
from ops.s3_client import TRANSFER, WORKERS, told

SUPERSEDED: Final = {"Key": "churn-superseded", "Value": "true"}
"""The lifecycle rule of the bucket filters by this tag."""
ABANDONED: Final = timedelta(days=1)
"""After which an unfinished upload, or content that no manifest names, belongs to nobody any more."""
BATCH: Final = 1000
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """Where to. What is put there is encrypted with the bucket's own default key."""

    store: BucketStore

    def put(self, root: Root, key: str) -> int:
        """Upload a file of the root; returns its size. S3 compares checksums; encryption is looked at afterwards."""
        store, path = self.store, root.path / key
        size = path.stat().st_size
        with told(f"{store.name}/{key}"):
            name = store.place.prefix + key
            arguments = {"ChecksumAlgorithm": "SHA256"}
            store.client.upload_file(str(path), store.place.bucket, name, ExtraArgs=arguments, Config=TRANSFER)
            head = store.client.head_object(Bucket=store.place.bucket, Key=name)
        if head["ContentLength"] != size:
            raise OpsError(f"{store.name}/{key} has {head['ContentLength']} bytes after the upload of {size}")
        store.check_encryption(key, head)
        return size

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files, many at a time."""
        names = [{"Key": self.store.place.prefix + key} for key in keys]
        for start in range(0, len(names), BATCH):
            with told(self.store.name):
                answer = self.store.client.delete_objects(
                    Bucket=self.store.place.bucket, Delete={"Objects": names[start : start + BATCH], "Quiet": True}
                )
            if failed := answer.get("Errors"):
                raise OpsError(f"{self.store.name}/{failed[0]['Key']} cannot be deleted: {failed[0].get('Code')}")


def upload(root: Root, name: str, *, keep_days: int, say: Say) -> None:
    """Bring a bucket up to date with a root; old backups there are deleted only if all of it went well.

    Raises:
        OpsError: the bucket cannot be used, or is not encrypted as it should be; TemporaryError where it may pass.
    """
    bucket = Bucket(store=BucketStore(name))
    _abort_abandoned(bucket)
    there = {manifest.id for manifest in Catalog(bucket.store).all}
    here: list[Manifest] = sorted(Catalog(root.store).all, key=lambda manifest: manifest.sequence)
    missing = [manifest for manifest in here if manifest.id not in there]
    sizes = {item.key: item.bytes for item in bucket.store.items(OBJECTS)} if missing else {}
    for manifest in missing:
        size = _upload_one(root, bucket, manifest, sizes)
        say(f"uploaded {manifest.kind} {manifest.id} to {bucket.store.name}: {size} bytes")
    catalog = Catalog(bucket.store)
    _tag(bucket, catalog)
    _clean(bucket, catalog, keep_days, say)


def _upload_one(root: Root, bucket: Bucket, manifest: Manifest, sizes: dict[str, int]) -> int:
    keys: list[str] = []
    if isinstance(manifest, ArtifactsManifest):
        wanted = {artifact.key: artifact.bytes for artifact in tree_of(root.store, manifest)}
        keys = [key for key, size in wanted.items() if sizes.get(key) != size]
        sizes |= wanted
    with ThreadPoolExecutor(WORKERS) as pool:
        jobs = [pool.submit(bucket.put, root, key) for key in keys]
        try:
            size = sum(job.result() for job in jobs)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    size += sum(bucket.put(root, key_of(manifest, name)) for name in manifest.files)
    return size + bucket.put(root, key_of(manifest, MANIFEST))


def _abort_abandoned(bucket: Bucket) -> None:
    """End what killed uploads left: its parts cost money and are in no listing."""
    store, limit = bucket.store, datetime.now(UTC) - ABANDONED
    with told(store.name):
        pages = store.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=store.place.bucket, Prefix=store.place.prefix
        )
        found: list[dict[str, Any]] = [found for page in pages for found in page.get("Uploads", ())]
        for upload in found:
            if upload["Initiated"] < limit:
                store.client.abort_multipart_upload(
                    Bucket=store.place.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )


def _tag(bucket: Bucket, catalog: Catalog) -> None:
    """Mark for the lifecycle what a newer backup has superseded, the manifest last."""
    newest = {kind[-1].id for kind in (catalog.postgres, catalog.artifacts) if kind}
    newest |= {artifacts.database.id for artifacts in catalog.artifacts[-1:]}
    good = [artifacts for artifacts in catalog.artifacts if not artifacts.broken]
    newest |= {name for artifacts in good[-1:] for name in (artifacts.id, artifacts.database.id)}
    for manifest in catalog.all:
        if manifest.id not in newest:
            for name in (*manifest.files, MANIFEST):
                _tag_one(bucket.store, key_of(manifest, name))


def _tag_one(store: BucketStore, key: str) -> None:
    where = {"Bucket": store.place.bucket, "Key": store.place.prefix + key}
    with told(f"{store.name}/{key}"):
        if SUPERSEDED not in store.client.get_object_tagging(**where)["TagSet"]:
            store.client.put_object_tagging(**where, Tagging={"TagSet": [SUPERSEDED]})


def _clean(bucket: Bucket, catalog: Catalog, keep_days: int, say: Say) -> None:
    now = datetime.now(UTC)
    old = backup_retention.expired(catalog.postgres, catalog.artifacts, now=now, keep_days=keep_days)
    gone: list[Manifest] = [*old.artifacts, *old.postgres]
    for manifest in gone:
        # The manifest first: without it, the rest is no backup.
        bucket.delete([key_of(manifest, MANIFEST)])
        bucket.delete(key_of(manifest, name) for name in manifest.files)
        say(f"deleted {manifest.kind} {manifest.id} in {bucket.store.name}: older than {keep_days} days")
    if catalog.unreadable:
        say(f"attention: {catalog.unreadable[0].key} in {bucket.store.name}: {catalog.unreadable[0].why}")
        return
    kept = [artifacts for artifacts in catalog.artifacts if artifacts not in old.artifacts]
    used = {artifact.key for artifacts in kept for artifact in tree_of(bucket.store, artifacts)}
    bucket.delete(item.key for item in bucket.store.items(OBJECTS) if _abandoned(item, used, now))


def _abandoned(item: Item, used: set[str], now: datetime) -> bool:
    """Nothing names it, and it is too old to belong to an upload under way."""
    return item.key not in used and now - item.modified > ABANDONED
