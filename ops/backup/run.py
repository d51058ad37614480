"""One backup from beginning to end: write, verify, publish, upload, and then delete what has expired."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ops import metric_names
from ops.backup import artifacts as backup_artifacts
from ops.backup import postgres as backup_postgres
from ops.backup.catalog import Catalog, key_of, tree_of
from ops.backup.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    OBJECTS,
    TREE,
    Artifact,
    ArtifactsManifest,
    Broken,
    Manifest,
    PostgresManifest,
    Tie,
    digest,
    write_tree,
)
from ops.backup.models import broken_versions
from ops.backup.options import ArtifactsOptions, BackupOptions, PostgresOptions
from ops.backup.postgres_client import wait_for
from ops.backup.retention import expired
from ops.backup.root import Draft, Root
from ops.backup.storage import open_artifacts
from ops.errors import OpsError, TemporaryError

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A finished backup, and how many of its kind there are now."""

    manifest: Manifest
    new_bytes: int
    count: int
    broken: list[Broken] = field(default_factory=list)

    def figures(self, seconds: float, now: float) -> dict[str, float]:
        """The values of the metrics."""
        size = sum(file.bytes for file in self.manifest.files.values())
        files = len(self.manifest.files)
        figures = {
            metric_names.BACKUP_DURATION: seconds,
            metric_names.BACKUP_NEW_BYTES: self.new_bytes,
            metric_names.BACKUP_KEPT: self.count,
            metric_names.BACKUP_SUCCESS: float(not self.broken),
        }
        if isinstance(self.manifest, ArtifactsManifest):
            size, files = size + self.manifest.bytes, files + self.manifest.count
            figures[metric_names.BACKUP_BROKEN_VERSIONS] = len(self.broken)
        if not self.broken:
            figures[metric_names.BACKUP_LAST_SUCCESS] = now
        return figures | {metric_names.BACKUP_BYTES: size, metric_names.BACKUP_FILES: files}


def space(folder: Path) -> dict[str, float]:
    """Return the metrics of the volume that has the backups; none where the folder is missing.

    The kubelet's own figures say nothing of a volume that no pod mounts, and backups mount theirs for minutes a day.
    """
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return {}
    return {metric_names.BACKUP_FREE_BYTES: usage.free, metric_names.BACKUP_VOLUME_BYTES: usage.total}


def run(options: BackupOptions, say: Say) -> Outcome:
    """Make a backup.

    Raises:
        OpsError: it could not be made, and nothing was changed.
    """
    root = Root(options.to)
    with root.writing():
        manifest = _postgres(root, options) if isinstance(options, PostgresOptions) else _artifacts(root, options, say)
        say(_describe(manifest))
        if options.upload:
            _upload(root, options.upload, options.keep_uploaded_days, say)
        left = _clean_up(root, options.keep_days, say)
    if isinstance(manifest, PostgresManifest):
        size = sum(file.bytes for file in manifest.files.values())
        return Outcome(manifest=manifest, new_bytes=size, count=len(left.postgres))
    return Outcome(
        manifest=manifest, new_bytes=manifest.new_bytes, count=len(left.artifacts), broken=list(manifest.broken)
    )


def _postgres(root: Root, options: PostgresOptions) -> PostgresManifest:
    backup_postgres.check_names(options.databases)
    wait_for(options.service, options.wait_seconds)
    with root.draft() as draft:
        dumped = backup_postgres.dump(options.service, options.databases, draft.folder)
        manifest = PostgresManifest(
            id=draft.id,
            sequence=draft.sequence,
            started_at=draft.started_at,
            finished_at=datetime.now(UTC),
            **vars(dumped),
        )
        root.publish(draft, manifest)
    return manifest


def _artifacts(root: Root, options: ArtifactsOptions, say: Say) -> ArtifactsManifest:
    catalog = Catalog(root.storage)
    if not catalog.postgres:
        raise TemporaryError(f"{root.path} has no dump that artifacts could be tied to: back up postgres first")
    source = open_artifacts(options.source)
    with root.draft() as draft:
        trees, _ = _trees(root, catalog.artifacts, say)
        trusted = (artifact.sha256 for tree in trees for artifact in tree)
        objects = backup_artifacts.Objects(root.path, draft.folder, trusted)
        copied = backup_artifacts.copy(source, objects, trees[-1] if trees else ())
        for path in copied.restless:
            say(f"left out this time: {path} is being written to")
        for path in copied.skipped:
            say(f"left out: {path} is not a regular file")
        try:
            manifest = _artifacts_manifest(root, draft, catalog.postgres[-1], source.name, copied)
            objects.flush()
            root.publish(draft, manifest)
        except BaseException:
            objects.drop(copied.new)
            raise
    return manifest


def _artifacts_manifest(
    root: Root, draft: Draft, dump: PostgresManifest, source: str, copied: backup_artifacts.Copied
) -> ArtifactsManifest:
    tree = copied.tree
    write_tree(draft.folder / TREE, tree)

    def read(artifact: Artifact) -> bytes:
        return root.storage.read(artifact.key, MAX_MANIFEST_BYTES)

    return ArtifactsManifest(
        id=draft.id,
        sequence=draft.sequence,
        started_at=draft.started_at,
        finished_at=datetime.now(UTC),
        files={TREE: digest(draft.folder / TREE)},
        source=source,
        count=len(tree),
        bytes=sum(artifact.bytes for artifact in tree),
        new_count=len(copied.new),
        new_bytes=sum(copied.new.values()),
        database=Tie(id=dump.id, manifest_sha256=digest(root.path / key_of(dump, MANIFEST)).sha256),
        broken=broken_versions(dump.versions, tree, read),
    )


def _upload(root: Root, bucket: str, keep_days: int, say: Say) -> None:
    from ops.backup.upload import upload  # noqa: PLC0415  # boto3 takes half a second to load

    upload(root, bucket, keep_days=keep_days, say=say)


def _clean_up(root: Root, keep_days: int, say: Say) -> Catalog:
    """Delete what has expired on the volume; returns the backups that are left."""
    catalog = Catalog(root.storage)
    old = expired(catalog.postgres, catalog.artifacts, now=datetime.now(UTC), keep_days=keep_days)
    with root.deleting() as nobody_reads:
        if not nobody_reads:
            say("expired backups stay for now: the backups are being read")
            return catalog
        deleted: list[Manifest] = [*old.artifacts, *old.postgres]
        for manifest in deleted:
            root.remove(manifest)
            say(f"deleted {manifest.kind} {manifest.id}: older than {keep_days} days")
        left = Catalog(root.storage)
        for unreadable in left.unreadable:
            say(f"attention: {unreadable.key}: {unreadable.why}")
        trees, all_read = _trees(root, left.artifacts, say)
        if all_read and not left.unreadable:
            _drop_objects(root, {artifact.key for tree in trees for artifact in tree})
    return left


def _trees(root: Root, artifacts: Iterable[ArtifactsManifest], say: Say) -> tuple[list[list[Artifact]], bool]:
    """The trees that can be read, and whether those are all: a damaged old backup must not prevent a new one."""
    trees, all_read = [], True
    for backup in artifacts:
        try:
            trees.append(tree_of(root.storage, backup))
        except OpsError as error:
            say(f"attention: {error}")
            all_read = False
    return trees, all_read


def _drop_objects(root: Root, used: set[str]) -> None:
    """Delete the contents that no artifact backup names any more."""
    for item in root.storage.items(OBJECTS):
        if item.key not in used:
            (root.path / item.key).unlink()


def _describe(manifest: Manifest) -> str:
    if isinstance(manifest, PostgresManifest):
        rows = sum(sum(database.rows.values()) for database in manifest.databases)
        names = ", ".join(database.name for database in manifest.databases)
        return f"postgres {manifest.id}: {names}; {rows} rows, {len(manifest.versions)} model versions"
    return (
        f"artifacts {manifest.id}: {manifest.count} files, {manifest.bytes} bytes, of which {manifest.new_bytes} are "
        f"new; tied to {manifest.database.id}"
    )
