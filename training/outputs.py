"""Files written for people: complete or not at all, CSV or Parquet by extension, and never over another by accident."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from training.files import PathError, check_folder, check_free, exists_error, is_s3

_FULL: Final = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "it grows beyond the largest size a file may have here",
}
_NAME_CHARACTERS: Final = 50
"""Of the target's name in a temporary file's: at four bytes each it stays below the 255 that a name may have."""
_TEMPORARY: Final = ".tmp"


def is_csv(out: str) -> bool:
    """Whether ``out``, which was checked, asks for CSV rather than Parquet."""
    return out.lower().endswith(".csv")


@contextmanager
def delivered(out: str, *, overwrite: bool) -> Iterator[Path]:
    """A local path for the content of ``out``, which gets it when the context ends well.

    Args:
        out: a local path (see :func:`replaced`) or ``s3://bucket/key``, which is uploaded whole at the end.
        overwrite: whether an existing file or object may be replaced.

    Raises:
        PathError: it exists, or it cannot be written.
    """
    if not is_s3(out):
        with replaced(Path(out), overwrite=overwrite) as temporary:
            yield temporary
        return
    from training.s3_output import uploaded  # noqa: PLC0415 - imports boto3, which a local file need not wait for

    with (
        tempfile.TemporaryDirectory(prefix="churn-") as folder,
        room(folder),
        uploaded(out, Path(folder), overwrite=overwrite) as temporary,
    ):
        yield temporary


@contextmanager
def replaced(target: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A temporary path beside ``target`` that takes its place when the context ends well, and is removed otherwise.

    The target's folder is made when it is missing. A file that is replaced passes its permissions on. What a killed
    writer of the same target left is removed first; a link is replaced, not what it points at.

    Raises:
        PathError: it exists and must not be replaced, it cannot be made there, or the disk is full.
    """
    check_free(target, overwrite=overwrite)
    check_folder(target.parent)
    with room(str(target)):
        with _explained(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_left_over(target)
            temporary, lock = _new_temporary(target)
        try:
            yield temporary
            with _explained(target):
                _publish(temporary, target, overwrite=overwrite)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(lock)


@contextmanager
def room(shown: str) -> Iterator[None]:
    """Say which file there was no room for.

    Raises:
        PathError: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise PathError(
            shown, f"{_FULL[error.errno]}, it was not written", "make room or name another place"
        ) from error


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise
        raise PathError(str(target), f"it cannot be written ({error.strerror})", "name another file") from error


def _prefix(target: Path) -> str:
    return f".{target.name[:_NAME_CHARACTERS]}.churn-"


def _new_temporary(target: Path) -> tuple[Path, int]:
    """An empty file beside the target, and an open descriptor that holds its lock as long as its writer lives."""
    mode = _permissions(target)
    while True:
        path = target.with_name(f"{_prefix(target)}{uuid4().hex}{_TEMPORARY}")
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        # A file system without locks, or of another owner, has none to lose either: nobody removes what he cannot lock.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if mode is not None:
            with contextlib.suppress(OSError):
                os.fchmod(descriptor, mode)
        # Another run may have taken it for left over before it was locked.
        if path.exists():
            return path, descriptor
        os.close(descriptor)


def _permissions(target: Path) -> int | None:
    """Of the file that is there; None for the usual ones."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except OSError:
        return None


def _remove_left_over(target: Path) -> None:
    """Remove the temporary files of this target whose writer is dead: they are locked by nobody."""
    for path in list(target.parent.iterdir()):
        if not (path.name.startswith(_prefix(target)) and path.name.endswith(_TEMPORARY)):
            continue
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _publish(temporary: Path, target: Path, *, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(target)
        return
    try:
        # Unlike a rename, it fails if the target came to be meanwhile.
        os.link(temporary, target)
    except FileExistsError:
        raise exists_error(str(target)) from None
    except OSError:  # a file system without hard links
        check_free(target, overwrite=False)
        temporary.replace(target)
