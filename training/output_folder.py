"""Output folders: a table in parts that appears as a whole or not at all, with a list of its parts in ``_SUCCESS``."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

from training.files import (
    PathError,
    check_folder,
    check_output,
    check_scheme,
    exists_error,
    is_pattern,
    is_s3,
    pattern_root,
)
from training.folder_marker import SUCCESS, Folder, check_replaceable, read_marker
from training.outputs import explained, room, temporary_prefix

_TEMPORARY: Final = ".tmp"
_ASIDE: Final = ".old"


def delivered_folder(out: str, *, overwrite: bool) -> AbstractContextManager[Folder]:
    """Provide a folder for the parts of ``out``, which appear there if the context ends without an error.

    Args:
        out: a local folder, or ``s3://bucket/prefix/``.
        overwrite: whether the parts of an earlier run may be replaced; anything else in the folder is never lost.

    Raises:
        PathError: it holds something that may not be replaced, or it cannot be written.
    """
    if not is_s3(out):
        return _local(Path(out), overwrite=overwrite)
    from training.s3_folder import uploaded_folder  # noqa: PLC0415 - imports boto3, which a local file need not wait for

    return uploaded_folder(out, overwrite=overwrite)


def is_folder(out: str) -> bool:
    """Whether an output is a folder of parts: its name ends in a slash, whether it exists or not."""
    return out.endswith("/")


def check_destination(out: str, *, overwrite: bool, source: str) -> None:
    """Check that scores can be written, to a file or to a folder of parts.

    Raises:
        PathError: they cannot; the message says why.
    """
    if is_folder(out):
        check_folder_output(out, overwrite=overwrite, source=source)
    elif not is_s3(out) and Path(out).is_dir():
        raise PathError(out, "it is a folder", f"write {out}/ for a folder of parts, or name a file in it")
    else:
        check_output(out, overwrite=overwrite, source=source)


def check_folder_output(out: str, *, overwrite: bool, source: str | None = None) -> None:
    """Check that a folder can be written as a whole, and that nothing is lost by it.

    What a prefix in S3 holds is checked when it is opened for writing, which is before the work too.

    Args:
        out: a local folder, or ``s3://bucket/prefix/``.
        overwrite: whether the parts of an earlier run may be replaced.
        source: the table that is read meanwhile; neither may be in the other.

    Raises:
        PathError: it cannot be written; the message says why.
    """
    if source is not None and is_s3(out) == is_s3(source):
        _check_apart(out, source)
    if is_s3(out):
        if not urlsplit(out).netloc:
            raise PathError(out, "no bucket", "write s3://bucket/prefix/")
        return
    check_scheme(out)
    target = _resolved(Path(out))
    if target.exists():
        if not target.is_dir():
            raise PathError(out, "it is a file, not a folder", "name another folder")
        if target == Path.cwd() or target in Path.cwd().parents or os.path.ismount(target):
            raise PathError(out, "the folder is in use, so it cannot be replaced as a whole", "name a new folder in it")
        names = {path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir()}
        check_replaceable(out, names, _marker(target / SUCCESS), overwrite=overwrite)
    check_folder(target.parent)


def _check_apart(out: str, source: str) -> None:
    """Refuse an output folder that holds the source, or that is in it and would be read with it the next time."""
    if is_s3(out):
        written, read = out, source
    else:
        written = f"{_resolved(Path(out))}/"
        read = os.path.realpath(pattern_root(source) if is_pattern(source) else source)
        read += "/" * (Path(read).is_dir() and not is_pattern(source))
    if read.startswith(written) or (read.endswith("/") and written.startswith(read)):
        raise PathError(out, f"the folder and the input ({source}) are one in the other", "name another folder")


class _LocalFolder:
    """A folder beside its final place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def put(self, name: str) -> None:
        """Nothing to do: the part is where it belongs."""

    def finish(self, marker: Mapping[str, Any]) -> None:
        (self._folder / SUCCESS).write_text(json.dumps(marker, indent=1) + "\n")


@contextmanager
def _local(target: Path, *, overwrite: bool) -> Iterator[Folder]:
    shown = str(target)
    target = _resolved(target)
    with room(shown):
        with explained(target):
            check_folder(target.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_left_over(target)
            check_folder_output(shown, overwrite=overwrite)
            temporary, lock = _new_folder(target)
        try:
            yield _LocalFolder(temporary)
            with explained(target):
                _publish(temporary, target, overwrite=overwrite)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            os.close(lock)


def _resolved(target: Path) -> Path:
    """The folder itself, without links: a folder cannot take the place of a link."""
    return Path(os.path.realpath(target))


def _marker(path: Path) -> Mapping[str, Any] | None:
    try:
        return read_marker(path.read_bytes())
    except OSError:
        return None


def _new_folder(target: Path) -> tuple[Path, int]:
    """Create an empty folder beside the target, and a descriptor that holds its lock as long as the writer lives."""
    path = target.with_name(f"{temporary_prefix(target)}{uuid4().hex}{_TEMPORARY}")
    path.mkdir()
    descriptor = os.open(path, os.O_RDONLY)
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return path, descriptor


def _remove_left_over(target: Path) -> None:
    """Remove what killed writers of this target left, and put back the folder that one of them had moved aside."""
    for path in list(target.parent.iterdir()):
        if not path.name.startswith(temporary_prefix(target)) or not path.is_dir():
            continue
        if path.suffix == _ASIDE and not target.exists():
            path.rename(target)
        elif path.suffix in {_ASIDE, _TEMPORARY} and _unlocked(path):
            shutil.rmtree(path, ignore_errors=True)


def _unlocked(folder: Path) -> bool:
    """Whether no living writer holds the folder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _publish(temporary: Path, target: Path, *, overwrite: bool) -> None:
    try:
        # An empty folder is replaced, one with something in it is not.
        temporary.rename(target)
    except OSError as error:
        if not target.is_dir() or not any(target.iterdir()):
            raise
        if not overwrite:
            raise exists_error(str(target)) from error
    else:
        return
    # Nothing may have appeared in it since the first look.
    check_folder_output(str(target), overwrite=True)
    aside = temporary.with_suffix(_ASIDE)
    target.rename(aside)
    try:
        temporary.rename(target)
    except BaseException:
        aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)
