"""Where backups are kept: a folder or a bucket, read in the same way."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final, Protocol

from ops.backup.manifest import CHUNK, Digest
from ops.errors import OpsError

S3: Final = "s3://"
SETTLERS: Final = 8
"""Files that are waited for at a time: they wait for the disk and need no processor."""


class Writer(Protocol):
    """Takes bytes: an open file, or a sum over them."""

    def write(self, data: bytes | memoryview, /) -> int | None: ...


class MissingError(OpsError):
    """There is no such file in the store."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """A file of a store; ``key`` is its path from the root, with slashes."""

    key: str
    bytes: int
    modified: datetime


class Store(Protocol):
    """A root of backups, to read."""

    name: str
    """As a person writes it."""

    def items(self, prefix: str) -> Iterator[Item]:
        """Every file whose key begins with ``prefix/``, in no order."""

    def read(self, key: str, limit: int) -> bytes:
        """A small file.

        Raises:
            MissingError: there is none.
            OpsError: it is larger than the limit, or cannot be read.
        """

    def copy(self, key: str, target: Writer) -> Digest:
        """Write a file's content to ``target`` and return what was written.

        Raises:
            MissingError: there is none.
            OpsError: it cannot be read, or is not encrypted as it should be.
        """

    def local(self, key: str, scratch: Path) -> AbstractContextManager[Path]:
        """A file of this machine with the content of ``key``, which is fetched into ``scratch`` if it is elsewhere."""


class Hashing:
    """Counts and hashes what goes through it."""

    def __init__(self, target: Writer | None) -> None:
        self._target = target
        self._hash = hashlib.sha256()
        self._bytes = 0

    def write(self, data: bytes | memoryview) -> int:
        self._hash.update(data)
        self._bytes += len(data)
        if self._target is not None:
            self._target.write(data)
        return len(data)

    @property
    def digest(self) -> Digest:
        return Digest(bytes=self._bytes, sha256=self._hash.hexdigest())


def pump(path: Path, into: Hashing) -> Digest:
    """Send a file through; one buffer that fits a core's cache is used again and again, which halves the time.

    Raises:
        OSError: it cannot be read.
    """
    buffer = memoryview(bytearray(CHUNK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            into.write(buffer[:count])
    return into.digest


def settle(path: Path) -> None:
    """Wait until a file or a folder's names are on the disk; only these, whatever else the machine has to write."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def settle_all(paths: Iterable[Path]) -> None:
    """Wait for many; the disk has them in far fewer turns than if each was waited for once it is written."""
    with ThreadPoolExecutor(SETTLERS) as pool:
        list(pool.map(settle, paths))


def begin_to_settle(file: IO[bytes]) -> None:
    """Let the disk begin with what was written, so that there is less to wait for later; promises nothing."""
    file.flush()
    # On Linux this advice begins to write out, and drops from memory what is on the disk already; macOS has none.
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class FolderStore:
    """A folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = str(root)

    def items(self, prefix: str) -> Iterator[Item]:
        for folder, _, files in os.walk(self.root / prefix):
            for name in files:
                path = Path(folder) / name
                try:
                    found = path.lstat()
                except FileNotFoundError:  # removed meanwhile
                    continue
                modified = datetime.fromtimestamp(found.st_mtime, UTC)
                yield Item(key=path.relative_to(self.root).as_posix(), bytes=found.st_size, modified=modified)

    def read(self, key: str, limit: int) -> bytes:
        with self._translated(key), (self.root / key).open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise OpsError(f"{self.root / key} is larger than the {limit} bytes it may have")
        return data

    def copy(self, key: str, target: Writer) -> Digest:
        with self._translated(key):
            return pump(self.root / key, Hashing(target))

    def local(self, key: str, scratch: Path) -> AbstractContextManager[Path]:
        del scratch  # it is here already
        return nullcontext(self.root / key)

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise MissingError(f"{self.root / key} is missing") from None
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:  # of the target, not of what is read
                raise
            raise OpsError(f"{self.root / key} cannot be read: {error.strerror}") from None


def open_store(name: str) -> Store:
    """The store that a person names: a folder, or s3://bucket[/prefix].

    Raises:
        OpsError: there is no such folder.
    """
    if name.startswith(S3):
        from ops.backup.bucket import BucketStore  # noqa: PLC0415  # imports boto3

        return BucketStore(name)
    if not Path(name).is_dir():
        raise OpsError(f"{name}: there is no such folder with backups")
    return FolderStore(Path(name))
