"""Copies finished backups into a bucket, contents first and manifests last.

Backups of earlier nights that the bucket lacks are uploaded too. Nothing is deleted from here, and nothing is marked as
expired (`ops.backup.expiry` does that with another role), so whoever takes over this job can do neither. A content that
the bucket has already is not uploaded again: its checksum is compared, which nobody can forge because S3 computes it,
and where the bucket locks objects its lock is extended, so that a content is protected as long as the newest backup
that names it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ops.backup import retention
from ops.backup.catalog import Catalog, key_of, tree_of
from ops.backup.manifest import MANIFEST, ArtifactsManifest, Manifest
from ops.backup.root import Root
from ops.backup.storage.bucket import BucketStorage
from ops.backup.storage.s3_client import WORKERS, s3_errors
from ops.errors import OpsError, TemporaryError

EXPIRED: Final = {"Key": "churn-expired", "Value": "true"}
"""The only rule of the bucket's lifecycle that deletes current objects must require this tag."""
OLD_VERSION_DAYS: Final = 30
"""The least time for which the lifecycle must keep an overwritten or deleted version."""
RENEW_DAYS: Final = 7
"""How much longer than necessary a lock is extended, so that this happens once a week and not every night."""
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

    def mark(self, key: str, version: str) -> None:
        """Let the lifecycle delete a file, unless a newer version has taken the place of this one."""
        with s3_errors(self.storage.path(key)):
            self.storage.client.put_object_tagging(
                **self.storage.address(key), VersionId=version, Tagging={"TagSet": [EXPIRED]}
            )

    def check_lifecycle(self) -> None:
        """Refuse a bucket that deletes by age alone, or that does not keep what is overwritten.

        A content is as old as the first backup that has it, so its age says nothing.

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
            if rule["Status"] != "Enabled":
                continue
            if "Expiration" in rule and not _requires_tag(rule.get("Filter", {})):
                raise OpsError(
                    f"{self.storage.name}: the lifecycle rule {rule.get('ID')!r} deletes by age, which would take "
                    f"contents of later backups: let its filter ask for the tag {EXPIRED['Key']}={EXPIRED['Value']}"
                )
            days = rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays", OLD_VERSION_DAYS)
            if days < OLD_VERSION_DAYS:
                raise OpsError(
                    f"{self.storage.name}: the lifecycle rule {rule.get('ID')!r} deletes old versions after {days} "
                    f"days, so that whoever overwrites a backup destroys it: keep them for {OLD_VERSION_DAYS} days"
                )


def _requires_tag(rule_filter: dict[str, Any]) -> bool:
    return rule_filter.get("Tag") == EXPIRED or EXPIRED in rule_filter.get("And", {}).get("Tags", ())


def upload(root: Root, name: str, *, keep_days: int, say: Say) -> None:
    """Bring a bucket up to date with a root.

    Raises:
        OpsError: the bucket cannot be used, or is not encrypted as it should be; TemporaryError where it may pass.
    """
    bucket = Bucket.open(name)
    bucket.check_lifecycle()
    catalog, here = Catalog(bucket.storage), Catalog(root.storage)
    uploaded = {manifest.id for manifest in catalog.all}
    missing = sorted((m for m in here.all if m.id not in uploaded), key=lambda m: m.sequence)
    if not missing:
        return
    with_artifacts = any(isinstance(manifest, ArtifactsManifest) for manifest in missing)
    staying = expired(catalog, keep_days)[1] if with_artifacts else []
    job = _Upload(
        root=root,
        bucket=bucket,
        # Any other content may be marked as expired, and an upload removes the mark.
        safe=used(bucket, staying, say)[0],
        dumps={dump.id: dump for dump in (*catalog.postgres, *here.postgres)},
        lock_days=bucket.storage.lock_days() if with_artifacts else None,
        say=say,
    )
    for manifest in missing:
        size = job.run(manifest)
        say(f"uploaded {manifest.kind} {manifest.id} to {bucket.storage.name}: {size} bytes")


@dataclass(frozen=True, kw_only=True)
class _Upload:
    """One run; ``safe`` are the keys of contents that a backup in the bucket names and that will stay."""

    root: Root
    bucket: Bucket
    safe: set[str]
    dumps: dict[str, Manifest]
    lock_days: int | None
    say: Say

    def run(self, manifest: Manifest) -> int:
        """Upload one backup; returns how many bytes that took."""
        size = 0
        if isinstance(manifest, ArtifactsManifest):
            tree = {artifact.key: artifact.sha256 for artifact in tree_of(self.root.storage, manifest)}
            size = self._each(self._content, tree)
            self.safe.update(tree)
            dump = self.dumps.get(manifest.database.id)
            if dump is not None:
                files = {key_of(dump, name): file.sha256 for name, file in dump.files.items()}
                tied = files | {key_of(dump, MANIFEST): manifest.database.manifest_sha256}
                size += self._each(self._tied, tied)
        size += sum(self.bucket.put(self.root, key_of(manifest, name)) for name in manifest.files)
        return size + self.bucket.put(self.root, key_of(manifest, MANIFEST))

    def _each(self, bring: Callable[[str, str], int], files: dict[str, str]) -> int:
        with ThreadPoolExecutor(WORKERS) as pool:
            jobs = [pool.submit(bring, key, sha256) for key, sha256 in files.items()]
            try:
                return sum(job.result() for job in jobs)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _content(self, key: str, sha256: str) -> int:
        if key in self.safe and self._holds(key, sha256):
            return 0
        return self.bucket.put(self.root, key)

    def _tied(self, key: str, sha256: str) -> int:
        """Protect a file of the dump that artifacts belong to, which may be older than they are."""
        if self._holds(key, sha256):
            return 0
        if (self.root.path / key).exists():
            return self.bucket.put(self.root, key)
        self.say(f"attention: {self.bucket.storage.path(key)} cannot be replaced: the volume has it no longer")
        return 0

    def _holds(self, key: str, sha256: str) -> bool:
        """Whether the bucket has this content; if it has, its lock is extended."""
        state = self.bucket.storage.held(key)
        if state is None:
            return False
        if not state.is_content(sha256, self.root.path / key):
            self.say(
                f"attention: {self.bucket.storage.path(key)} is not what was backed up: it was overwritten, or "
                "uploaded without a checksum; its older versions stay for a while, see docs/dr.md"
            )
            return False
        if self.lock_days is not None:
            now = datetime.now(UTC)
            if state.locked_until is None or state.locked_until < now + timedelta(days=self.lock_days):
                self.bucket.storage.lock(key, now + timedelta(days=self.lock_days + RENEW_DAYS))
        return True


def expired(catalog: Catalog, keep_days: int) -> tuple[list[Manifest], list[ArtifactsManifest]]:
    """Backups that have expired, and the artifact backups that have not."""
    old = retention.expired(catalog.postgres, catalog.artifacts, now=datetime.now(UTC), keep_days=keep_days)
    return [*old.artifacts, *old.postgres], [backup for backup in catalog.artifacts if backup not in old.artifacts]


def used(bucket: Bucket, backups: list[ArtifactsManifest], say: Say) -> tuple[set[str], bool]:
    """The keys of all contents that these backups name, and whether all of their trees could be read."""
    keys: set[str] = set()
    all_read = True
    for backup in backups:
        try:
            keys.update(artifact.key for artifact in tree_of(bucket.storage, backup))
        except TemporaryError:
            raise
        except OpsError as error:  # a damaged old backup must not prevent a new one
            say(f"attention: {error}")
            all_read = False
    return keys, all_read
