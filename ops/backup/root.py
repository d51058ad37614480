"""The folder that backups are written to: a backup becomes visible whole or not at all.

Everything is first written below ``tmp/<id>`` and then renamed; what a killed process leaves there is removed by the
next one. There are two locks, which end with the process that holds them: one backup writes at a time, and nothing is
deleted while somebody reads.
"""

from __future__ import annotations

import fcntl
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ops.backup import disk
from ops.backup.catalog import Catalog
from ops.backup.manifest import MANIFEST, Manifest, new_id, render
from ops.backup.storage.folder import FolderStorage
from ops.errors import OpsError, TemporaryError

TEMPORARY: Final = "tmp"
WRITING: Final = ".writing"
READING: Final = ".reading"
REPORTS: Final = "drills"
"""Where drills leave their reports. A backup makes this folder, since a drill may write nowhere else."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A backup that is being written."""

    id: str
    sequence: int
    started_at: datetime
    folder: Path


class Root:
    """A folder of backups that this process alone writes to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.storage = FolderStorage(path)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other backups from writing, and remove what killed ones left behind.

        Raises:
            OpsError: the folder cannot be written to.
            TemporaryError: another backup is writing to it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / WRITING).open("a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise TemporaryError(
                        f"another backup is writing to {self.path}: try again once it is done"
                    ) from None
                (self.path / READING).touch()
                (self.path / REPORTS).mkdir(exist_ok=True)
                self._clear()
                try:
                    yield
                finally:
                    self._clear()
        except PermissionError as error:
            raise OpsError(f"{error.filename}: {error.strerror}: the folder of the backups must be writable") from None

    @contextmanager
    def draft(self) -> Iterator[Draft]:
        """A new backup's own temporary folder, which is removed afterwards unless the backup was published."""
        started = datetime.now(UTC)
        name = new_id(started, secrets.token_hex(3))
        folder = self.path / TEMPORARY / name
        folder.mkdir(parents=True)
        try:
            yield Draft(
                id=name, sequence=Catalog(self.storage).next_sequence(started), started_at=started, folder=folder
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, draft: Draft, manifest: Manifest) -> None:
        """Make a backup visible, once all of it is on the disk."""
        (draft.folder / MANIFEST).write_bytes(render(manifest))
        # Contents before names: a power cut must not leave the name of a finished backup without its content.
        for path in (*draft.folder.iterdir(), draft.folder):
            disk.flush(path)
        target = self.path / manifest.kind / draft.id
        target.parent.mkdir(exist_ok=True)
        draft.folder.rename(target)
        disk.flush(target.parent)
        disk.flush(self.path)

    @contextmanager
    def deleting(self) -> Iterator[bool]:
        """Whether nobody reads the backups; as long as this is held, nobody can begin to."""
        with (self.path / READING).open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def remove(self, manifest: Manifest) -> None:
        """Delete a backup, which stops being listed at once."""
        gone = self.path / TEMPORARY / f"expired-{manifest.id}"
        gone.parent.mkdir(exist_ok=True)
        (self.path / manifest.kind / manifest.id).rename(gone)
        shutil.rmtree(gone)

    def _clear(self) -> None:
        if (self.path / TEMPORARY).exists():
            shutil.rmtree(self.path / TEMPORARY)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Keep backups from being deleted while they are read.

    A folder without the lock's file is a copy, or no backup was ever written to it: nobody deletes anything there.
    """
    try:
        file = (path / READING).open("r")
    except FileNotFoundError:
        yield
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield
