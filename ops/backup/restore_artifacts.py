"""Restores artifacts into a folder, and compares what is there afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ops.backup import disk
from ops.backup.manifest import Artifact, Digest
from ops.backup.storage.base import Storage
from ops.backup.storage.folder import LOST_AND_FOUND, WORKERS
from ops.errors import OpsError

_PREFIX: Final = ".restoring-"
_BEFORE: Final = ".before-"


def check_folder(folder: Path, *, replace: bool) -> None:
    """Refuse a folder that has content.

    Raises:
        OpsError: it has some, and the operator did not say to replace it.
    """
    if not replace and (present := list(_content(folder))):
        raise OpsError(
            f"{folder} is not empty ({present[0].name!r} and {len(present) - 1} more): nothing was changed; "
            "use --replace to put the backup in its place (what is there now stays in a folder beside it)"
        )


def restore_folder(storage: Storage, tree: Iterable[Artifact], folder: Path, backup_id: str) -> str | None:
    """Restore a tree; returns the name of the folder with what was there before, if anything was.

    The tree is first written and compared below a temporary name, and put in place once it is on the disk. Until then,
    a failure leaves the folder as it was.

    Raises:
        OpsError: an artifact is missing or is not what the tree says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"{_PREFIX}{backup_id}"
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir()
        for_each(tree, lambda artifact: _write(storage, artifact, new))
        disk.flush_all([*new.rglob("*"), new])
        before = _set_aside(folder, backup_id)
        for path in new.iterdir():
            path.rename(folder / path.name)
        new.rmdir()
        disk.flush(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return before


def _write(storage: Storage, artifact: Artifact, folder: Path) -> None:
    path = folder / artifact.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        check(artifact, storage.copy(artifact.key, file))
        disk.begin_to_flush(file)


def check(artifact: Artifact, content: Digest) -> None:
    """Refuse content that is not the artifact's.

    Raises:
        OpsError: it names the artifact.
    """
    if content != Digest(bytes=artifact.bytes, sha256=artifact.sha256):
        raise OpsError(f"{artifact.path}: {content.bytes} bytes do not match the backup ({artifact.key})")


def compare_folder(tree: Iterable[Artifact], folder: Path) -> None:
    """Compare every path and size in a restored folder with its tree; contents were hashed while they were written.

    Raises:
        OpsError: a file is missing, or does not belong there.
    """
    expected = {artifact.path: artifact.bytes for artifact in tree}
    actual = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for top in _content(folder)
        for path in ([top] if top.is_file() else top.rglob("*"))
        if path.is_file()
    }
    if actual != expected:
        differing = sorted(path for path in actual.keys() | expected.keys() if actual.get(path) != expected.get(path))
        raise OpsError(f"{folder} is not what was backed up: {len(differing)} files differ, first {differing[0]}")


def _set_aside(folder: Path, backup_id: str) -> str | None:
    present = list(_content(folder))
    if not present:
        return None
    aside = folder / f"{_BEFORE}{backup_id}"
    aside.mkdir(exist_ok=True)
    for path in present:
        path.rename(aside / path.name)
    return aside.name


def _content(folder: Path) -> Iterator[Path]:
    """What is in a folder, apart from what restores and the file system put there."""
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.name != LOST_AND_FOUND and not path.name.startswith((_PREFIX, _BEFORE)):
                yield path


def for_each(tree: Iterable[Artifact], work: Callable[[Artifact], None]) -> None:
    """Do something with every artifact, several at a time, until the first failure."""
    with _pool() as pool:
        for done in [pool.submit(work, artifact) for artifact in tree]:
            done.result()


@contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that do not begin with waiting work once one of them has failed."""
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
