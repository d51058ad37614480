"""Output files: written completely or not at all, CSV or Parquet by extension, never over another file by accident."""

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
"""Characters of the target's name in a temporary file's name: at four bytes each they stay below the limit of 255."""
_TEMPORARY: Final = ".tmp"


def is_csv(out: str) -> bool:
    """Whether ``out``, already checked, is a CSV file rather than Parquet."""
    return out.lower().endswith(".csv")


@contextmanager
def delivered(out: str, *, overwrite: bool) -> Iterator[Path]:
    """Provide a local path for the content of ``out``, which receives it if the context ends without an error.

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
    """Provide a temporary path beside ``target`` that replaces it if the context ends without an error.

    The target's folder is created if it is missing. A replaced file passes its permissions on. Leftovers of a killed
    writer of the same target are removed first. A link is replaced, not the file that it points to.

    Raises:
        PathError: it exists and must not be replaced, it cannot be created there, or the disk is full.
    """
    check_free(target, overwrite=overwrite)
    check_folder(target.parent)
    with room(str(target)):
        with explained(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_left_over(target)
            temporary, lock = _new_temporary(target)
        try:
            yield temporary
            with explained(target):
                _publish(temporary, target, overwrite=overwrite)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(lock)


@contextmanager
def room(shown: str) -> Iterator[None]:
    """Name the file if the disk is full while it is written.

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
def explained(target: Path) -> Iterator[None]:
    """Name the target if it cannot be written.

    Raises:
        PathError: any reason but a full disk, for which see :func:`room`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise
        raise PathError(str(target), f"it cannot be written ({error.strerror})", "name another file") from error


def temporary_prefix(target: Path) -> str:
    """How the names of temporary files and folders beside a target begin."""
    return f".{target.name[:_NAME_CHARACTERS]}.churn-"


def _new_temporary(target: Path) -> tuple[Path, int]:
    """Create an empty file beside the target, and a descriptor that holds its lock as long as the writer lives."""
    mode = _permissions(target)
    while True:
        path = target.with_name(f"{temporary_prefix(target)}{uuid4().hex}{_TEMPORARY}")
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        # A file system without locks is safe too: nobody removes a file that he cannot lock.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if mode is not None:
            with contextlib.suppress(OSError):
                os.fchmod(descriptor, mode)
        # Another run may have removed it as a leftover before it was locked.
        if path.exists():
            return path, descriptor
        os.close(descriptor)


def _permissions(target: Path) -> int | None:
    """Permissions of the existing file; None if there is none."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except OSError:
        return None


def _remove_left_over(target: Path) -> None:
    """Remove the temporary files of this target that nobody holds a lock on: their writers are dead."""
    for path in list(target.parent.iterdir()):
        if not (path.name.startswith(temporary_prefix(target)) and path.name.endswith(_TEMPORARY)):
            continue
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _publish(temporary: Path, target: Path, *, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(target)
        return
    try:
        # Unlike a rename, this fails if the target has appeared meanwhile.
        os.link(temporary, target)
    except FileExistsError:
        raise exists_error(str(target)) from None
    except OSError:  # a file system without hard links
        check_free(target, overwrite=False)
        temporary.replace(target)
