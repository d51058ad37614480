"""The artifact store as a backup reads it: a folder or a bucket's prefix, file by file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from ops.backup.manifest import Digest
from ops.backup.store import Hashing, Writer, pump
from ops.errors import OpsError

WORKERS: Final = 4
LOST: Final = "lost+found"
"""What a file system makes at its root, for root alone to read."""


class GoneError(OpsError):
    """The file was removed since it was listed."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file of the store; ``seen`` is another one after any change of it."""

    path: str
    bytes: int
    seen: str


class Source(Protocol):
    """An artifact store."""

    name: str
    workers: int

    def files(self) -> Iterator[Found]:
        """Every file.

        Raises:
            OpsError: the store is not there.
        """

    def seen(self, path: str) -> str:
        """The present state of a file.

        Raises:
            GoneError: it is gone.
        """

    def copy(self, path: str, target: Writer) -> Digest:
        """Copy a file's content, hashing it on the way.

        Raises:
            GoneError: it is gone.
        """


class FolderSource:
    """A folder. What is no regular file, or has no proper name, is in no backup, and ``skipped`` names it."""

    def __init__(self, root: Path) -> None:
        self.name = str(root)
        self.workers = WORKERS
        self.skipped: list[str] = []
        self._root = root

    def files(self) -> Iterator[Found]:
        if not self._root.is_dir():
            raise OpsError(f"{self._root}: there is no such folder: --from names the folder of MLflow's artifacts")
        for folder, folders, names in os.walk(self._root, onerror=_raise):
            if Path(folder) == self._root and LOST in folders:
                folders.remove(LOST)
            links = [name for name in folders if Path(folder, name).is_symlink()]
            for name in (*names, *links):
                path = Path(folder, name)
                relative = path.relative_to(self._root).as_posix()
                try:
                    status = path.lstat()
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(status.st_mode) and relative.isprintable():
                    yield Found(path=relative, bytes=status.st_size, seen=_state(status))
                else:
                    self.skipped.append(relative)

    def seen(self, path: str) -> str:
        try:
            return _state((self._root / path).lstat())
        except FileNotFoundError:
            raise GoneError(path) from None

    def copy(self, path: str, target: Writer) -> Digest:
        try:
            return pump(self._root / path, Hashing(target))
        except FileNotFoundError:
            raise GoneError(path) from None


def _state(status: os.stat_result) -> str:
    # The time of the last change of status cannot be set back, as that of the content can.
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def _raise(error: OSError) -> None:
    if isinstance(error, FileNotFoundError):
        return
    raise OpsError(f"{error.filename} cannot be read: {error.strerror}")
