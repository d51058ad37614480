"""Copies an artifact store into a root's objects: each content once, and only what is new or has changed."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ops.backup import disk
from ops.backup.manifest import Artifact, Digest, digest, object_key
from ops.backup.storage.base import Item, MissingError, Storage
from ops.errors import TemporaryError

TRIES: Final = 3


@dataclass(kw_only=True)
class Copied:
    """The result of copying an artifact store."""

    tree: list[Artifact] = field(default_factory=list)
    new: dict[str, int] = field(default_factory=dict)
    """Size by digest of each content that no backup had before."""
    restless: list[str] = field(default_factory=list)
    """Files that changed during every try; the next backup may have more luck with them."""
    skipped: list[str] = field(default_factory=list)
    """Files that are not regular, which no backup holds."""


class Objects:
    """The contents of a root.

    ``trusted`` are digests that finished backups name. Any other object may be the remains of a crash, and is read
    before it is trusted.
    """

    def __init__(self, root: Path, scratch: Path, trusted: Iterable[str]) -> None:
        self._root = root
        self._scratch = scratch
        self._trusted = set(trusted)
        self._unflushed: set[Path] = set()

    def has(self, expected: Digest) -> bool:
        """Whether this content is here; of a trusted one, only the size is compared."""
        path = self._root / object_key(expected.sha256)
        try:
            if path.stat().st_size != expected.bytes:
                return False
        except FileNotFoundError:
            return False
        if expected.sha256 not in self._trusted:
            if digest(path) != expected:
                return False
            self._trust(path, expected)
        return True

    def temporary(self, number: int) -> Path:
        return self._scratch / f"content-{number}"

    def add(self, temporary: Path, content: Digest) -> None:
        """Turn a copied file into an object."""
        path = self._root / object_key(content.sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.rename(path)
        self._trust(path, content)

    def _trust(self, path: Path, content: Digest) -> None:
        self._trusted.add(content.sha256)
        # What a killed backup left behind may exist in memory only, just like what was added now.
        self._unflushed.add(path)

    def flush(self) -> None:
        """Wait until the contents and names of all objects that are new to this backup are on the disk.

        Before that, a power cut may destroy them. No finished backup names them yet, so the next backup reads them
        before it trusts them.
        """
        disk.flush_all(self._unflushed)
        disk.flush_all({folder for path in self._unflushed for folder in (path.parent, path.parent.parent)})
        self._unflushed.clear()

    def drop(self, digests: Iterable[str]) -> None:
        """Remove objects that no finished backup names."""
        for sha256 in digests:
            (self._root / object_key(sha256)).unlink(missing_ok=True)


def copy(source: Storage, objects: Objects, known: Iterable[Artifact]) -> Copied:
    """Copy an artifact store.

    A file that is unchanged since the backup of ``known`` is not read. One that changes while it is read is read again,
    and left out if it changes every time. If this raises, the objects are as they were before.
    """
    before = {artifact.path: artifact for artifact in known}
    copied = Copied()

    def take(job: tuple[int, Item]) -> Artifact | None:
        number, item = job
        if not item.is_regular:
            copied.skipped.append(item.key)
            return None
        old = before.get(item.key)
        if old is not None and old.seen == item.state and objects.has(Digest(bytes=old.bytes, sha256=old.sha256)):
            return old
        return _copy_one(source, objects, item, objects.temporary(number), copied)

    try:
        with ThreadPoolExecutor(source.workers) as pool:
            jobs = [pool.submit(take, job) for job in enumerate(source.items())]
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


def _copy_one(source: Storage, objects: Objects, item: Item, temporary: Path, copied: Copied) -> Artifact | None:
    """Copy a file; None if it is gone, or changes during every try."""
    before = item.state
    for _ in range(TRIES):
        try:
            with temporary.open("wb") as file:
                content = source.copy(item.key, file)
                disk.begin_to_flush(file)
            after = source.state(item.key)
        except MissingError:
            temporary.unlink(missing_ok=True)
            return None
        if (written := temporary.stat().st_size) != content.bytes:
            raise TemporaryError(f"{item.key}: only {written} of {content.bytes} bytes reached the volume")
        if after == before:
            if objects.has(content):
                temporary.unlink()
            else:
                copied.new[content.sha256] = content.bytes
                objects.add(temporary, content)
            return Artifact(path=item.key, bytes=content.bytes, sha256=content.sha256, seen=before)
        before = after
    temporary.unlink()
    copied.restless.append(item.key)
    return None
