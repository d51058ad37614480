"""Finished backups of a root, in the order in which they were made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

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
from ops.backup.store import FolderStore, MissingError, Store
from ops.errors import OpsError

LATEST: Final = "latest"


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """Something that stands where a finished backup should, and is none."""

    key: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What is restored together: artifacts and the dump that they are tied to; the dump alone has no artifacts yet."""

    postgres: PostgresManifest
    artifacts: ArtifactsManifest | None


class Catalog:
    """All finished backups of a store as they were when it was made, oldest first."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.postgres: list[PostgresManifest] = []
        self.artifacts: list[ArtifactsManifest] = []
        self.unreadable: list[Unreadable] = []
        for kind in KINDS:
            for item in sorted(store.items(kind), key=lambda item: item.key):
                if item.key.count("/") == 2 and item.key.endswith(f"/{MANIFEST}"):  # noqa: PLR2004  # <kind>/<id>/<file>
                    self._add(kind, item.key)
        self.postgres.sort(key=_order)
        self.artifacts.sort(key=_order)

    def _add(self, kind: Kind, key: str) -> None:
        try:
            found = load(self.store, key)
        except MissingError:  # removed since it was listed
            return
        except OpsError as error:
            self.unreadable.append(Unreadable(key=key, why=str(error)))
            return
        if (found.kind, found.id) != (kind, key.split("/")[1]):
            why = f"it is the manifest of {found.kind}/{found.id}"
            self.unreadable.append(Unreadable(key=key, why=why))
        elif isinstance(found, PostgresManifest):
            self.postgres.append(found)
        else:
            self.artifacts.append(found)

    @property
    def all(self) -> list[Manifest]:
        return [*self.postgres, *self.artifacts]

    def next_sequence(self, now: datetime) -> int:
        """The place of a backup that begins now: after all others, and by the clock where that is later.

        The clock has a part in it for a volume that begins anew beside a bucket that remembers the old one.
        """
        return max(*(manifest.sequence + 1 for manifest in self.all), int(now.timestamp()), 1)

    def find(self, wanted: str) -> Manifest:
        """The backup of that id, or the newest one whose artifacts and dump are tied for ``latest``.

        Raises:
            OpsError: there is none, or its manifest cannot be read.
        """
        if wanted == LATEST:
            newest: list[Manifest] = [*self.artifacts[-1:], *self.postgres[-1:]]
            if not newest:
                raise OpsError(f"{self.store.name} has no finished backup{self._unreadable_words()}")
            return newest[0]
        for manifest in self.all:
            if manifest.id == wanted:
                return manifest
        for broken in self.unreadable:
            if broken.key.split("/")[1] == wanted:
                raise OpsError(f"{broken.key}: {broken.why}")
        raise OpsError(
            f"{self.store.name} has no finished backup {wanted!r}: 'churn backup list' shows those there are"
        )

    def pair(self, wanted: str) -> Pair:
        """The dump and artifacts that are restored for an id of either.

        Raises:
            OpsError: there is none, or the dump that artifacts are tied to is gone.
        """
        found = self.find(wanted)
        if isinstance(found, PostgresManifest):
            tied = [artifacts for artifacts in self.artifacts if artifacts.database.id == found.id]
            return Pair(postgres=found, artifacts=tied[-1] if tied else None)
        for dump in self.postgres:
            if dump.id == found.database.id:
                return Pair(postgres=dump, artifacts=found)
        raise OpsError(
            f"the dump {found.database.id} that the artifacts {found.id} are tied to is not in {self.store.name}"
        )

    def _unreadable_words(self) -> str:
        return f", but {len(self.unreadable)} that cannot be read" if self.unreadable else ""


def _order(manifest: Manifest) -> tuple[int, str]:
    return manifest.sequence, manifest.id


def load(store: Store, key: str) -> Manifest:
    """A manifest of a store.

    Raises:
        MissingError: there is none.
        ManifestError: it cannot be believed.
    """
    return parse(store.read(key, MAX_MANIFEST_BYTES), key)


def key_of(manifest: Manifest, name: str) -> str:
    """Key of a file of a backup."""
    return f"{manifest.kind}/{manifest.id}/{name}"


def tree_of(store: Store, manifest: ArtifactsManifest) -> list[Artifact]:
    """Every artifact of a backup; only a tree that is the manifest's is believed.

    Raises:
        ManifestError: the tree is another one, or no tree.
        OpsError: it cannot be read.
    """
    key, expected = key_of(manifest, TREE), manifest.files.get(TREE)
    if expected is None:
        raise ManifestError(f"{key_of(manifest, MANIFEST)}: names no {TREE}")
    data = store.read(key, expected.bytes)
    if Digest(bytes=len(data), sha256=hashlib.sha256(data).hexdigest()) != expected:
        raise ManifestError(f"{key}: {len(data)} bytes that are not those of the manifest")
    return list(read_tree(data.splitlines(), key))


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A finished backup."""

    folder: Path
    finished_at: datetime


def latest(root: Path, kind: Kind) -> Backup | None:
    """The complete backup of that kind that finished last; None if there is none."""
    catalog = Catalog(FolderStore(root))
    found: list[Manifest] = [manifest for manifest in catalog.all if manifest.kind == kind]
    if not found:
        return None
    newest = max(found, key=lambda manifest: manifest.finished_at)
    return Backup(folder=root / kind / newest.id, finished_at=newest.finished_at.astimezone(UTC))
