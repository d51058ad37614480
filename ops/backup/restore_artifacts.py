"""Brings an artifact tree back into a folder or a bucket, and looks at every byte of it afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ops.backup.artifact_source import LOST, WORKERS
from ops.backup.manifest import Artifact, Digest
from ops.backup.store import Store, begin_to_settle, settle, settle_all
from ops.errors import OpsError

_PREFIX: Final = ".restoring-"
_KEPT: Final = ".before-"


def check_folder(folder: Path, *, replace: bool) -> None:
    """Refuse a folder with content.

    Raises:
        OpsError: it has some, and nobody said to replace it.
    """
    if not replace and (present := list(_content(folder))):
        raise OpsError(
            f"{folder} is not empty ({present[0].name!r} and {len(present) - 1} more): nothing is touched; "
            "say --replace to put the backup in its place (what is there is kept in a folder beside it)"
        )


def restore_folder(store: Store, tree: Iterable[Artifact], folder: Path, backup_id: str) -> str | None:
    """Restore a tree; returns the name of the folder that keeps what was there before, if anything was.

    It is first written below a name of its own and compared there, and put in its place once the disk has it; whatever
    goes wrong leaves the folder as it was.

    Raises:
        OpsError: an artifact is missing or is not what the tree says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"{_PREFIX}{backup_id}"
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir()
        each(tree, lambda artifact: _write(store, artifact, new))
        settle_all([*new.rglob("*"), new])
        kept = _keep(folder, backup_id)
        for path in new.iterdir():
            path.rename(folder / path.name)
        new.rmdir()
        settle(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return kept


def _write(store: Store, artifact: Artifact, folder: Path) -> None:
    path = folder / artifact.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        check(artifact, store.copy(artifact.key, file))
        begin_to_settle(file)


def check(artifact: Artifact, found: Digest) -> None:
    """Refuse content that is not the artifact's.

    Raises:
        OpsError: it names the artifact.
    """
    if found != Digest(bytes=artifact.bytes, sha256=artifact.sha256):
        raise OpsError(f"{artifact.path}: {found.bytes} bytes that are not those of the backup ({artifact.key})")


def compare_folder(tree: Iterable[Artifact], folder: Path) -> None:
    """Hold a restored folder against its tree: every path and size. Contents were hashed while they were written.

    Raises:
        OpsError: something is missing, or is there that should not.
    """
    expected = {artifact.path: artifact.bytes for artifact in tree}
    found = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for top in _content(folder)
        for path in ([top] if top.is_file() else top.rglob("*"))
        if path.is_file()
    }
    if found != expected:
        differing = sorted(path for path in found.keys() | expected.keys() if found.get(path) != expected.get(path))
        raise OpsError(f"{folder} is not as it was: {len(differing)} files differ, the first is {differing[0]}")


def _keep(folder: Path, backup_id: str) -> str | None:
    present = list(_content(folder))
    if not present:
        return None
    kept = folder / f"{_KEPT}{backup_id}"
    kept.mkdir(exist_ok=True)
    for path in present:
        path.rename(kept / path.name)
    return kept.name


def _content(folder: Path) -> Iterator[Path]:
    """What is in a folder, but for what we or the file system put there."""
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.name != LOST and not path.name.startswith((_PREFIX, _KEPT)):
                yield path


def each(tree: Iterable[Artifact], work: Callable[[Artifact], None]) -> None:
    """Do something with every artifact, several at a time; the first failure ends it."""
    with _pool() as pool:
        for done in [pool.submit(work, artifact) for artifact in tree]:
            done.result()


@contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    """Threads whose waiting work is given up as soon as one fails."""
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
