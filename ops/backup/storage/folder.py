"""A folder as a storage."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ops.backup.manifest import CHUNK, Digest
from ops.backup.storage.base import Hashing, Item, MissingError, Writer
from ops.errors import OpsError

WORKERS: Final = 4
LOST_AND_FOUND: Final = "lost+found"
"""A folder that the file system makes at its root, and that root alone can read."""


class FolderStorage:
    """A folder; one that does not exist is empty."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = str(root)
        self.workers = WORKERS

    def items(self, prefix: str = "") -> Iterator[Item]:
        for folder, folders, names in os.walk(self.root / prefix, onerror=_raise_unless_gone):
            if Path(folder) == self.root and LOST_AND_FOUND in folders:
                folders.remove(LOST_AND_FOUND)
            links = [name for name in folders if Path(folder, name).is_symlink()]
            for name in (*names, *links):
                path = Path(folder, name)
                try:
                    status = path.lstat()
                except FileNotFoundError:  # removed since it was listed
                    continue
                key = path.relative_to(self.root).as_posix()
                yield Item(
                    key=key,
                    bytes=status.st_size,
                    modified=datetime.fromtimestamp(status.st_mtime, UTC),
                    state=_state(status),
                    is_regular=stat.S_ISREG(status.st_mode) and key.isprintable(),
                )

    def state(self, key: str) -> str:
        with self._readable(key):
            return _state((self.root / key).lstat())

    def read(self, key: str, limit: int) -> bytes:
        with self._readable(key), (self.root / key).open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise OpsError(f"{self.root / key} is larger than the {limit} bytes it may have")
        return data

    def copy(self, key: str, target: Writer | None = None) -> Digest:
        hashing = Hashing(target)
        # One buffer that fits a core's cache, used again and again, halves the time.
        buffer = memoryview(bytearray(CHUNK))
        with self._readable(key):
            file = (self.root / key).open("rb", buffering=0)
        with file:
            while True:
                # Only reading is looked at here: an error of the target is not one of this file.
                with self._readable(key):
                    count = file.readinto(buffer)
                if not count:
                    return hashing.digest
                hashing.write(buffer[:count])

    def local(self, key: str, scratch: Path) -> AbstractContextManager[Path]:
        del scratch  # the file is local already
        return nullcontext(self.root / key)

    @contextmanager
    def _readable(self, key: str) -> Iterator[None]:
        """Say of an error which file cannot be read."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise MissingError(f"{self.root / key} is missing") from None
        except OSError as error:
            raise OpsError(f"{self.root / key} cannot be read: {error.strerror}") from None


def _state(status: os.stat_result) -> str:
    # Unlike the time of the last change of the content, that of the status cannot be set back.
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise OpsError(f"{error.filename} cannot be read: {error.strerror}")
