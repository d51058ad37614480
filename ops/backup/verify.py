"""Looks at every byte of a backup: whether each file and object is there and is the one that the manifest names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ops.backup.catalog import Pair, key_of, tree_of
from ops.backup.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    OBJECTS,
    ROLES,
    TREE,
    Artifact,
    ArtifactsManifest,
    Digest,
    Manifest,
    PostgresManifest,
)
from ops.backup.models import broken_versions
from ops.backup.postgres_client import same_content
from ops.backup.store import Hashing, Store
from ops.errors import OpsError


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What of a backup was looked at, and everything that is wrong with it.

    ``broken`` are versions that lacked artifacts when they were copied already, and so do here.
    """

    pair: Pair
    tree: list[Artifact]
    files: int
    bytes: int
    problems: list[str]
    broken: list[str]


@dataclass
class _Check:
    """Compares files with their digests, each once."""

    store: Store
    problems: list[str] = field(default_factory=list)
    known: dict[str, Digest | None] = field(default_factory=dict)

    def __call__(self, key: str, expected: Digest) -> None:
        if key not in self.known:
            self.known[key] = self._look(key, expected)
        found = self.known[key]
        if found is not None and found != expected:
            self.problems.append(f"{key}: {found.bytes} bytes that are not the {expected.bytes} of the manifest")

    def _look(self, key: str, expected: Digest) -> Digest | None:
        del expected
        into = Hashing(None)
        try:
            return self.store.copy(key, into)
        except OpsError as error:
            self.problems.append(str(error))
            return None


class _QuickCheck(_Check):
    """Looks at presence and size alone, with one listing."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._sizes = {item.key: item.bytes for item in store.items(OBJECTS)}

    def _look(self, key: str, expected: Digest) -> Digest | None:
        if not key.startswith(OBJECTS):
            return super()._look(key, expected)
        size = self._sizes.get(key)
        if size is None:
            self.problems.append(f"{key} is missing in {self.store.name}")
            return None
        return Digest(bytes=size, sha256=expected.sha256)


def verify(store: Store, pair: Pair, scratch: Path, *, quick: bool = False) -> Checked:
    """Check a dump and the artifacts that go with it, all of them.

    ``quick`` leaves out what a restore looks at by itself before anything is in its place: the contents of the
    artifacts, and that the dumps can be read to their ends.
    """
    check = _QuickCheck(store) if quick else _Check(store)
    _check_files(pair.postgres, [ROLES, *(database.file for database in pair.postgres.databases)], check)
    tree: list[Artifact] = []
    broken: list[str] = []
    if pair.artifacts is not None:
        _check_files(pair.artifacts, [TREE], check)
        try:
            tree = tree_of(store, pair.artifacts)
        except OpsError as error:
            check.problems.append(str(error))
        else:
            for artifact in tree:
                check(artifact.key, Digest(bytes=artifact.bytes, sha256=artifact.sha256))
            check.problems += _tie_problems(store, pair.postgres, pair.artifacts)
            broken = _broken(store, pair.postgres, pair.artifacts, tree, check.problems)
    if not quick and not check.problems:
        check.problems += _dump_problems(store, pair.postgres, scratch)
    return Checked(
        pair=pair,
        tree=tree,
        files=len(check.known),
        bytes=sum(found.bytes for found in check.known.values() if found),
        problems=list(dict.fromkeys(check.problems)),
        broken=broken,
    )


def require_whole(checked: Checked, *, accept_broken: bool = False) -> None:
    """Refuse a backup that has anything wrong with it.

    Raises:
        OpsError: it names the first problem and how many there are.
    """
    problems = [*checked.problems, *(() if accept_broken else checked.broken)]
    if problems:
        more = f" (and {len(problems) - 1} more, see 'churn backup verify')" if len(problems) > 1 else ""
        raise OpsError(f"the backup is damaged and nothing was restored: {problems[0]}{more}")


def _check_files(manifest: Manifest, needed: Iterable[str], check: _Check) -> None:
    for name in needed:
        if name not in manifest.files:
            check.problems.append(f"{key_of(manifest, MANIFEST)}: names no {name}")
    for name, expected in manifest.files.items():
        check(key_of(manifest, name), expected)


def _tie_problems(store: Store, dump: PostgresManifest, artifacts: ArtifactsManifest) -> Iterator[str]:
    key = key_of(dump, MANIFEST)
    if store.copy(key, Hashing(None)).sha256 != artifacts.database.manifest_sha256:
        yield f"{key} is not the manifest that the artifacts {artifacts.id} were tied to"


def _broken(
    store: Store, dump: PostgresManifest, artifacts: ArtifactsManifest, tree: list[Artifact], problems: list[str]
) -> list[str]:
    """Versions that were broken when they were copied; those that are only now go to the problems."""

    def read(artifact: Artifact) -> bytes:
        try:
            return store.read(artifact.key, MAX_MANIFEST_BYTES)
        except OpsError:
            return b""

    before = {(broken.model, broken.version) for broken in artifacts.broken}
    known = []
    for broken in broken_versions(dump.versions, tree, read):
        words = f"model {broken.model} version {broken.version}: {broken.why}"
        if (broken.model, broken.version) in before:
            known.append(f"{words}, as when it was copied")
        else:
            problems.append(words)
    return known


def _dump_problems(store: Store, dump: PostgresManifest, scratch: Path) -> Iterator[str]:
    for database in dump.databases:
        with store.local(key_of(dump, database.file), scratch) as path:
            try:
                same_content(path)
            except OpsError as error:
                yield str(error)
