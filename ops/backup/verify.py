"""Reads a backup whole: whether every file and object is there, and is the one that the manifest names."""

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
from ops.backup.postgres_client import check_readable
from ops.backup.storage.base import Storage
from ops.errors import OpsError


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What was read of a backup, and everything that is wrong with it.

    ``broken`` are versions that already lacked artifacts when they were copied, and so lack them here.
    """

    pair: Pair
    tree: list[Artifact]
    files: int
    bytes: int
    problems: list[str]
    broken: list[str]


@dataclass
class _Check:
    """Compares files with their digests, each of them once."""

    storage: Storage
    problems: list[str] = field(default_factory=list)
    known: dict[str, Digest | None] = field(default_factory=dict)

    def __call__(self, key: str, expected: Digest) -> None:
        if key not in self.known:
            self.known[key] = self._digest(key, expected)
        actual = self.known[key]
        if actual is not None and actual != expected:
            why = "another digest" if actual.bytes == expected.bytes else f"expected {expected.bytes}"
            self.problems.append(f"{key}: {actual.bytes} bytes do not match the manifest: {why}")

    def _digest(self, key: str, expected: Digest) -> Digest | None:
        del expected
        try:
            return self.storage.copy(key)
        except OpsError as error:
            self.problems.append(str(error))
            return None


class _QuickCheck(_Check):
    """Compares only presence and size of the objects, with one listing."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self._sizes = {item.key: item.bytes for item in storage.items(OBJECTS)}

    def _digest(self, key: str, expected: Digest) -> Digest | None:
        if not key.startswith(OBJECTS):
            return super()._digest(key, expected)
        size = self._sizes.get(key)
        if size is None:
            self.problems.append(f"{key} is missing in {self.storage.name}")
            return None
        return Digest(bytes=size, sha256=expected.sha256)


def verify(storage: Storage, pair: Pair, scratch: Path, *, quick: bool = False) -> Checked:
    """Check a dump and the artifacts that belong to it.

    ``quick`` leaves out what a restore checks by itself before anything is in its place: the contents of the artifacts,
    and whether the dumps can be read to their ends.
    """
    check = _QuickCheck(storage) if quick else _Check(storage)
    _check_files(pair.postgres, [ROLES, *(database.file for database in pair.postgres.databases)], check)
    tree: list[Artifact] = []
    broken: list[str] = []
    if pair.artifacts is not None:
        _check_files(pair.artifacts, [TREE], check)
        try:
            tree = tree_of(storage, pair.artifacts)
        except OpsError as error:
            check.problems.append(str(error))
        else:
            for artifact in tree:
                check(artifact.key, Digest(bytes=artifact.bytes, sha256=artifact.sha256))
            check.problems += _tie_problems(storage, pair.postgres, pair.artifacts)
            broken = _broken(storage, pair.postgres, pair.artifacts, tree, check.problems)
    if not quick and not check.problems:
        check.problems += _dump_problems(storage, pair.postgres, scratch)
    return Checked(
        pair=pair,
        tree=tree,
        files=len(check.known),
        bytes=sum(digest.bytes for digest in check.known.values() if digest),
        problems=list(dict.fromkeys(check.problems)),
        broken=broken,
    )


def require_whole(checked: Checked, *, accept_broken: bool = False) -> None:
    """Refuse a backup that has anything wrong with it.

    Raises:
        OpsError: it names the first problem, and how many there are.
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


def _tie_problems(storage: Storage, dump: PostgresManifest, artifacts: ArtifactsManifest) -> Iterator[str]:
    key = key_of(dump, MANIFEST)
    if storage.copy(key).sha256 != artifacts.database.manifest_sha256:
        yield f"{key} is not the manifest that the artifacts {artifacts.id} were tied to"


def _broken(
    storage: Storage, dump: PostgresManifest, artifacts: ArtifactsManifest, tree: list[Artifact], problems: list[str]
) -> list[str]:
    """Versions that were already broken when they were copied; any others are added to the problems."""

    def read(artifact: Artifact) -> bytes:
        try:
            return storage.read(artifact.key, MAX_MANIFEST_BYTES)
        except OpsError:
            return b""

    before = {(broken.model, broken.version) for broken in artifacts.broken}
    known = []
    for broken in broken_versions(dump.versions, tree, read):
        words = f"model {broken.model} version {broken.version}: {broken.why}"
        if (broken.model, broken.version) in before:
            known.append(f"{words}; this was already so when the backup was made")
        else:
            problems.append(words)
    return known


def _dump_problems(storage: Storage, dump: PostgresManifest, scratch: Path) -> Iterator[str]:
    for database in dump.databases:
        with storage.local(key_of(dump, database.file), scratch) as path:
            try:
                check_readable(path)
            except OpsError as error:
                yield str(error)
