"""Copies an artifact store into a root's objects: each content once, and only what is new or was changed."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ops.backup.artifact_source import Found, GoneError, Source
from ops.backup.manifest import Artifact, Digest, digest, object_key
from ops.backup.store import begin_to_settle, settle_all
from ops.errors import TemporaryError

TRIES: Final = 3


@dataclass(kw_only=True)
class Copied:
    """What an artifact store had."""

    tree: list[Artifact] = field(default_factory=list)
    new: dict[str, int] = field(default_factory=dict)
    """Size by digest of each content that was not there before."""
    restless: list[str] = field(default_factory=list)
    """Files that were being written all the time; the next backup takes them."""


class Objects:
    """The contents of a root.

    ``trusted`` are digests of finished backups. Any other object may be what a crash left of one, and is read before it
    is believed.
    """

    def __init__(self, root: Path, scratch: Path, trusted: Iterable[str]) -> None:
        self._root = root
        self._scratch = scratch
        self._trusted = set(trusted)
        self._unsettled: set[Path] = set()

    def has(self, expected: Digest) -> bool:
        """Whether this content is there, unharmed as far as its size tells."""
        path = self._root / object_key(expected.sha256)
        try:
            if path.stat().st_size != expected.bytes:
                return False
        except FileNotFoundError:
            return False
        if expected.sha256 not in self._trusted:
            if digest(path) != expected:
                return False
            self._believe(path, expected)
        return True

    def temporary(self, number: int) -> Path:
        return self._scratch / f"content-{number}"

    def add(self, temporary: Path, content: Digest) -> None:
        """Make a copied content an object."""
        path = self._root / object_key(content.sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.rename(path)
        self._believe(path, content)

    def _believe(self, path: Path, content: Digest) -> None:
        self._trusted.add(content.sha256)
        # What a killed backup left may be in memory alone, as what was added now.
        self._unsettled.add(path)

    def settle(self) -> None:
        """Wait until contents and names of what this backup is the first to have are on the disk.

        Until then a power cut may take them, but no finished backup has them, and so they are read before they are
        believed again.
        """
        settle_all(self._unsettled)
        settle_all({folder for path in self._unsettled for folder in (path.parent, path.parent.parent)})
        self._unsettled.clear()

    def drop(self, digests: Iterable[str]) -> None:
        """Remove objects that no finished backup has."""
        for sha256 in digests:
            (self._root / object_key(sha256)).unlink(missing_ok=True)


def copy(source: Source, objects: Objects, known: Iterable[Artifact]) -> Copied:
    """Copy a store.

    A file that has not changed since ``known`` was made is not read. One that changes while it is read is read again,
    and left out if it never rests. If this raises, the objects are as they were before.
    """
    before = {artifact.path: artifact for artifact in known}
    copied = Copied()

    def take(job: tuple[int, Found]) -> Artifact | None:
        number, found = job
        old = before.get(found.path)
        if old is not None and old.seen == found.seen and objects.has(Digest(bytes=old.bytes, sha256=old.sha256)):
            return old
        return _take(source, objects, found, objects.temporary(number), copied)

    try:
        with ThreadPoolExecutor(source.workers) as pool:
            jobs = [pool.submit(take, job) for job in enumerate(source.files())]
            try:
                taken = [job.result() for job in jobs]
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    except BaseException:
        objects.drop(copied.new)
        raise
    copied.tree = sorted((artifact for artifact in taken if artifact), key=lambda artifact: artifact.path)
    return copied


def _take(source: Source, objects: Objects, found: Found, temporary: Path, copied: Copied) -> Artifact | None:
    seen = found.seen
    for _ in range(TRIES):
        try:
            with temporary.open("wb") as file:
                content = source.copy(found.path, file)
                begin_to_settle(file)
            after = source.seen(found.path)
        except GoneError:
            temporary.unlink(missing_ok=True)
            return None
        if (written := temporary.stat().st_size) != content.bytes:
            raise TemporaryError(f"{found.path}: {written} bytes on the volume after a copy of {content.bytes}")
        if after == seen:
            if objects.has(content):
                temporary.unlink()
            else:
                copied.new[content.sha256] = content.bytes
                objects.add(temporary, content)
            return Artifact(path=found.path, bytes=content.bytes, sha256=content.sha256, seen=seen)
        seen = after
    temporary.unlink()
    copied.restless.append(found.path)
    return None
