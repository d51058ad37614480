"""The finished backups of a storage, in the order in which they were made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from ops.backup.manifest import (
    KINDS,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    TREE,
    Artifact,
    ArtifactsManifest,
    Digest,
    Kind,
    Manifest,
    ManifestError,
    PostgresManifest,
    parse,
    read_tree,
)
from ops.backup.options import LATEST
from ops.backup.storage.base import MissingError, Storage
from ops.errors import OpsError


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """Something in the place of a finished backup that cannot be read as one."""

    key: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What is restored together: artifacts and the dump that they are tied to, or a dump that has no artifacts yet."""

    postgres: PostgresManifest
    artifacts: ArtifactsManifest | None


class Catalog:
    """All backups that were finished when this object was made, oldest first; or only those of some kinds."""

    def __init__(self, storage: Storage, kinds: Iterable[Kind] = KINDS) -> None:
        self.storage = storage
        self.postgres: list[PostgresManifest] = []
        self.artifacts: list[ArtifactsManifest] = []
        self.unreadable: list[Unreadable] = []
        for kind in kinds:
            for item in sorted(storage.items(kind), key=lambda item: item.key):
                if item.key.count("/") == 2 and item.key.endswith(f"/{MANIFEST}"):  # noqa: PLR2004  # <kind>/<id>/<file>
                    self._add(kind, item.key)
        self.postgres.sort(key=_order)
        self.artifacts.sort(key=_order)

    def _add(self, kind: Kind, key: str) -> None:
        try:
            manifest = load(self.storage, key)
        except MissingError:  # removed since it was listed
            return
        except OpsError as error:
            self.unreadable.append(Unreadable(key=key, why=str(error)))
            return
        if (manifest.kind, manifest.id) != (kind, key.split("/")[1]):
            why = f"it is the manifest of {manifest.kind}/{manifest.id}"
            self.unreadable.append(Unreadable(key=key, why=why))
        elif isinstance(manifest, PostgresManifest):
            self.postgres.append(manifest)
        else:
            self.artifacts.append(manifest)

    @property
    def all(self) -> list[Manifest]:
        return [*self.postgres, *self.artifacts]

    def next_sequence(self, now: datetime) -> int:
        """The sequence number of a backup that begins now: after all others, and not before the clock's seconds.

        The clock matters when a new, empty volume meets a bucket that still has the backups of the old one.
        """
        return max(*(manifest.sequence + 1 for manifest in self.all), int(now.timestamp()), 1)

    def find(self, backup_id: str) -> Manifest:
        """The backup with this id; for `LATEST`, the newest artifacts or, if there are none, the newest dump.

        Raises:
            OpsError: there is none, or its manifest cannot be read.
        """
        if backup_id == LATEST:
            newest: list[Manifest] = [*self.artifacts[-1:], *self.postgres[-1:]]
            if not newest:
                raise OpsError(f"{self.storage.name} has no finished backup{self._count_unreadable()}")
            return newest[0]
        for manifest in self.all:
            if manifest.id == backup_id:
                return manifest
        for broken in self.unreadable:
            if broken.key.split("/")[1] == backup_id:
                raise OpsError(f"{broken.key}: {broken.why}")
        raise OpsError(
            f"{self.storage.name} has no finished backup {backup_id!r}: 'churn backup list' shows which there are"
        )

    def pair(self, backup_id: str) -> Pair:
        """The dump and artifacts that are restored for the id of either.

        Raises:
            OpsError: there is none, or the dump that artifacts are tied to is gone.
        """
        manifest = self.find(backup_id)
        if isinstance(manifest, PostgresManifest):
            tied = [artifacts for artifacts in self.artifacts if artifacts.database.id == manifest.id]
            return Pair(postgres=manifest, artifacts=tied[-1] if tied else None)
        for dump in self.postgres:
            if dump.id == manifest.database.id:
                return Pair(postgres=dump, artifacts=manifest)
        raise OpsError(
            f"the dump {manifest.database.id} that the artifacts {manifest.id} are tied to is not in "
            f"{self.storage.name}"
        )

    def _count_unreadable(self) -> str:
        return f", but {len(self.unreadable)} that cannot be read" if self.unreadable else ""


def _order(manifest: Manifest) -> tuple[int, str]:
    return manifest.sequence, manifest.id


def load(storage: Storage, key: str) -> Manifest:
    """Read a manifest.

    Raises:
        MissingError: there is none.
        ManifestError: it cannot be trusted.
    """
    return parse(storage.read(key, MAX_MANIFEST_BYTES), key)


def key_of(manifest: Manifest, name: str) -> str:
    """The key of a backup's file."""
    return f"{manifest.kind}/{manifest.id}/{name}"


def tree_of(storage: Storage, manifest: ArtifactsManifest) -> list[Artifact]:
    """Every artifact of a backup.

    Raises:
        ManifestError: the tree is not the one that the manifest names, or not a tree at all.
        OpsError: it cannot be read.
    """
    key, expected = key_of(manifest, TREE), manifest.files.get(TREE)
    if expected is None:
        raise ManifestError(f"{key_of(manifest, MANIFEST)}: names no {TREE}")
    data = storage.read(key, expected.bytes)
    if Digest(bytes=len(data), sha256=hashlib.sha256(data).hexdigest()) != expected:
        raise ManifestError(f"{key}: {len(data)} bytes do not match the digest in the manifest")
    return list(read_tree(data.splitlines(), key))


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A finished backup."""

    id: str
    finished_at: datetime


def latest(storage: Storage, kind: Kind) -> Backup | None:
    """The backup of this kind that finished last; None if there is none. It reads manifests of this kind alone."""
    backups = Catalog(storage, [kind]).all
    if not backups:
        return None
    newest = max(backups, key=lambda manifest: manifest.finished_at)
    return Backup(id=newest.id, finished_at=newest.finished_at.astimezone(UTC))
