"""The one interface to where files are kept, whether they are backups or MLflow's artifacts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ops.backup.manifest import Digest
from ops.errors import OpsError


class Writer(Protocol):
    """Takes bytes: an open file, or a hash of them."""

    def write(self, data: bytes | memoryview, /) -> int | None: ...


class MissingError(OpsError):
    """There is no such file, or there is none any more."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """A file as a listing shows it; ``key`` is its path from the root, with slashes."""

    key: str
    bytes: int
    modified: datetime
    state: str
    """Differs after any change of the file, even one that keeps size and time."""
    is_regular: bool = True
    """False for a link, a pipe, or a file whose name cannot be printed: those go into no backup."""


class Storage(Protocol):
    """A folder or a bucket's prefix."""

    name: str
    """As a person writes it."""
    workers: int
    """How many files are best copied at a time."""

    def items(self, prefix: str = "") -> Iterator[Item]:
        """Every file, or those whose keys begin with ``prefix/``, in no order.

        Raises:
            OpsError: a folder cannot be read, or the bucket gives no answer.
        """

    def state(self, key: str) -> str:
        """The present state of a file, as `Item.state` has it.

        Raises:
            MissingError: there is no such file.
        """

    def read(self, key: str, limit: int) -> bytes:
        """The content of a small file.

        Raises:
            MissingError: there is no such file.
            OpsError: it is larger than ``limit`` bytes, or cannot be read.
        """

    def copy(self, key: str, target: Writer | None = None) -> Digest:
        """Write a file's content to ``target``, if there is one; returns the digest of what was read.

        Raises:
            MissingError: there is no such file.
            OpsError: it cannot be read, or is not encrypted as it should be.
        """

    def local(self, key: str, scratch: Path) -> AbstractContextManager[Path]:
        """A local file with the content of ``key``, downloaded into ``scratch`` if the storage is remote."""


class Hashing:
    """Counts and hashes what is written, and passes it on to ``target`` if there is one."""

    def __init__(self, target: Writer | None = None) -> None:
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
