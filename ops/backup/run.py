"""One backup from beginning to end: write, verify, publish, upload, and then delete what has had its time."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ops.backup import artifacts as backup_artifacts
from ops.backup import postgres as backup_postgres
from ops.backup import retention as backup_retention
from ops.backup.artifact_source import FolderSource, Source
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
from ops.backup.postgres_client import wait_for
from ops.backup.root import Draft, Root
from ops.backup.store import S3
from ops.errors import OpsError, TemporaryError

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A finished backup."""

    manifest: Manifest
    new_bytes: int
    kept: int
    broken: list[Broken] = field(default_factory=list)

    def figures(self, seconds: float, now: float) -> dict[str, float]:
        """For the pushgateway."""
        size = sum(file.bytes for file in self.manifest.files.values())
        count = len(self.manifest.files)
        found = {
            "churn_backup_duration_seconds": seconds,
            "churn_backup_new_bytes": self.new_bytes,
            "churn_backup_kept": self.kept,
            "churn_backup_success": float(not self.broken),
        }
        if isinstance(self.manifest, ArtifactsManifest):
            size, count = size + self.manifest.bytes, count + self.manifest.count
            found["churn_backup_broken_versions"] = len(self.broken)
        if not self.broken:
            found["churn_backup_last_success_timestamp_seconds"] = now
        return found | {"churn_backup_bytes": size, "churn_backup_files": count}


def run(options: argparse.Namespace, say: Say) -> Outcome:
    """Make the backup that a command line asks for.

    Raises:
        OpsError: it could not be made, and nothing was changed.
    """
    root = Root(options.to)
    with root.writing():
        manifest = _postgres(root, options) if options.kind == "postgres" else _artifacts(root, options, say)
        say(_words(manifest))
        if options.upload:
            _upload(root, options, say)
        kept = _clean(root, options.keep_days, say)
    if isinstance(manifest, PostgresManifest):
        size = sum(file.bytes for file in manifest.files.values())
        return Outcome(manifest=manifest, new_bytes=size, kept=len(kept.postgres))
    return Outcome(
        manifest=manifest, new_bytes=manifest.new_bytes, kept=len(kept.artifacts), broken=list(manifest.broken)
    )


def _postgres(root: Root, options: argparse.Namespace) -> Manifest:
    backup_postgres.check_names(options.database)
    wait_for(options.service, options.wait)
    with root.draft() as draft:
        dumped = backup_postgres.dump(options.service, options.database, draft.folder)
        manifest = PostgresManifest(
            id=draft.id,
            sequence=draft.sequence,
            started_at=draft.started_at,
            finished_at=datetime.now(UTC),
            **vars(dumped),
        )
        root.publish(draft, manifest)
    return manifest


def _artifacts(root: Root, options: argparse.Namespace, say: Say) -> Manifest:
    catalog = Catalog(root.store)
    if not catalog.postgres:
        raise TemporaryError(f"{root.path} has no dump that artifacts could be tied to: back up postgres first")
    dump = catalog.postgres[-1]
    source = source_of(options.source)
    with root.draft() as draft:
        trees, _ = _trees(root, catalog.artifacts, say)
        trusted = (artifact.sha256 for tree in trees for artifact in tree)
        objects = backup_artifacts.Objects(root.path, draft.folder, trusted)
        copied = backup_artifacts.copy(source, objects, trees[-1] if trees else ())
        for path in copied.restless:
            say(f"left out for now: {path} is being written")
        for path in getattr(source, "skipped", ()):
            say(f"left out: {path} is no regular file")
        try:
            manifest = _describe(root, draft, dump, source, copied)
            objects.settle()
            root.publish(draft, manifest)
        except BaseException:
            objects.drop(copied.new)
            raise
    return manifest


def _describe(
    root: Root, draft: Draft, dump: PostgresManifest, source: Source, copied: backup_artifacts.Copied
) -> ArtifactsManifest:
    tree = copied.tree
    write_tree(draft.folder / TREE, tree)

    def read(artifact: Artifact) -> bytes:
        return root.store.read(artifact.key, MAX_MANIFEST_BYTES)

    return ArtifactsManifest(
        id=draft.id,
        sequence=draft.sequence,
        started_at=draft.started_at,
        finished_at=datetime.now(UTC),
        files={TREE: digest(draft.folder / TREE)},
        source=source.name,
        count=len(tree),
        bytes=sum(artifact.bytes for artifact in tree),
        new_count=len(copied.new),
        new_bytes=sum(copied.new.values()),
        database=Tie(id=dump.id, manifest_sha256=digest(root.path / key_of(dump, MANIFEST)).sha256),
        broken=broken_versions(dump.versions, tree, read),
    )


def source_of(name: str) -> Source:
    """The artifact store of a command line."""
    if not name.startswith(S3):
        return FolderSource(Path(name))
    from ops.backup.bucket import BucketSource  # noqa: PLC0415  # imports boto3

    return BucketSource(name)


def _upload(root: Root, options: argparse.Namespace, say: Say) -> None:
    from ops.backup.upload import upload  # noqa: PLC0415  # imports boto3

    upload(root, options.upload, keep_days=options.keep_uploaded, say=say)


def _clean(root: Root, keep_days: int, say: Say) -> Catalog:
    """Delete what has had its time on the volume; returns what is left."""
    catalog = Catalog(root.store)
    old = backup_retention.expired(catalog.postgres, catalog.artifacts, now=datetime.now(UTC), keep_days=keep_days)
    with root.deleting() as alone:
        if not alone:
            say("nothing is deleted today: somebody reads the backups")
            return catalog
        gone: list[Manifest] = [*old.artifacts, *old.postgres]
        for manifest in gone:
            root.remove(manifest)
            say(f"deleted {manifest.kind} {manifest.id}: older than {keep_days} days")
        left = Catalog(root.store)
        for unreadable in left.unreadable:
            say(f"attention: {unreadable.key}: {unreadable.why}")
        trees, all_read = _trees(root, left.artifacts, say)
        if all_read and not left.unreadable:
            _drop_objects(root, {artifact.key for tree in trees for artifact in tree})
    return left


def _trees(root: Root, artifacts: Iterable[ArtifactsManifest], say: Say) -> tuple[list[list[Artifact]], bool]:
    """The trees that can be read, and whether those are all: a damaged old backup keeps no new one from being made."""
    trees, all_read = [], True
    for backup in artifacts:
        try:
            trees.append(tree_of(root.store, backup))
        except OpsError as error:
            say(f"attention: {error}")
            all_read = False
    return trees, all_read


def _drop_objects(root: Root, used: set[str]) -> None:
    """Delete the contents that no artifact backup has any more."""
    for item in root.store.items(OBJECTS):
        if item.key not in used:
            (root.path / item.key).unlink()


def _words(manifest: Manifest) -> str:
    if isinstance(manifest, PostgresManifest):
        rows = sum(sum(database.rows.values()) for database in manifest.databases)
        names = ", ".join(database.name for database in manifest.databases)
        return f"postgres {manifest.id}: {names}; {rows} rows, {len(manifest.versions)} model versions"
    return (
        f"artifacts {manifest.id}: {manifest.count} files, {manifest.bytes} bytes, of which {manifest.new_bytes} are "
        f"new; tied to {manifest.database.id}"
    )
