"""Paths as people give them: whether a file can be read or written, said before any work and without a slow import."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

from training import formats

EXTENSIONS: Final = (".csv", ".parquet")
S3: Final = "s3"
_S3_PREFIX: Final = f"{S3}://"
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
"""One slash is enough: a path object makes ``s3:/bucket`` of ``s3://bucket``, and nobody means a folder called so."""


class PathError(Exception):
    """A path that cannot be used; the message names it, what is wrong with it, and the remedy."""

    def __init__(self, path: str, problem: str, remedy: str) -> None:
        self.path = path
        self.problem = problem
        self.remedy = remedy
        super().__init__(path, problem, remedy)

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}; {self.remedy}"

    def as_dict(self) -> dict[str, Any]:
        """The same for a program that reads JSON."""
        return {"path": self.path, "problem": self.problem, "remedy": self.remedy}


def is_s3(address: str) -> bool:
    return address.startswith(_S3_PREFIX)


def split_s3(address: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``.

    Raises:
        PathError: it names no bucket or no object.
    """
    parts = urlsplit(address)
    key = parts.path.lstrip("/")
    if not parts.netloc or not key or key.endswith("/"):
        raise PathError(address, "no bucket or no object name", "write s3://bucket/key")
    return parts.netloc, key


def check_source(source: str) -> None:
    """A file of customers can be opened. Of an object in S3 only the address is looked at.

    Raises:
        PathError: it is missing, a folder, unreadable, or of another kind.
    """
    if is_s3(source):
        _check_extension(source, split_s3(source)[1])
        return
    if _SCHEME.match(source):
        raise PathError(source, _unknown_scheme(source), "expected a local path or s3://bucket/key")
    path = Path(source)
    if path.is_dir():
        raise PathError(source, "it is a folder", "expected one CSV or Parquet file")
    if not path.is_file():
        raise PathError(source, "no such file", "expected the path of a CSV or Parquet file")
    try:
        path.open("rb").close()
    except OSError as error:
        raise PathError(source, f"it cannot be read ({error.strerror})", "check its permissions") from error
    _check_content(source, path)


def check_output(
    out: str, *, overwrite: bool, source: str | None = None, extensions: Sequence[str] = EXTENSIONS
) -> None:
    """A file can be written: its folder can be made, and nothing of anybody's is lost by it.

    Whether an object exists in S3 is asked when it is written, also before the work.

    Args:
        out: a local path or ``s3://bucket/key``.
        overwrite: whether an existing file may be replaced.
        source: what is read meanwhile; it is never replaced.
        extensions: the kinds that can be written.

    Raises:
        PathError: it cannot, with the reason.
    """
    if is_s3(out):
        bucket, key = split_s3(out)
        _check_extension(out, key, extensions)
        if source is not None and is_s3(source) and split_s3(source) == (bucket, key):
            raise _is_source(out, source)
        return
    if _SCHEME.match(out):
        raise PathError(out, _unknown_scheme(out), "expected a local path or s3://bucket/key")
    path = Path(out)
    if path.is_dir():
        raise PathError(out, "it is a folder", f"name a file in it, such as {path / ('out' + extensions[0])}")
    _check_extension(out, path.name, extensions)
    if source is not None and not is_s3(source) and same_file(path, Path(source)):
        raise _is_source(out, source)
    check_free(path, overwrite=overwrite)
    check_folder(path.parent)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Nothing is there that may not be replaced. A link counts as a file, whatever it points at.

    Raises:
        PathError: something is.
    """
    if path.exists() and not path.is_file():
        raise PathError(str(path), "it is no regular file", "name another file to write")
    if os.path.lexists(path) and not overwrite:
        raise exists_error(str(path))


def check_folder(folder: Path) -> None:
    """Files can be made in a folder, or the folder itself where it is missing.

    Raises:
        PathError: something on the way is a file, or may not be written to.
    """
    present = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not present.is_dir():
        raise PathError(str(folder), f"{present} is a file, no folder", "name another folder")
    if not os.access(present, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PathError(str(folder), f"no permission to write in the folder {present}", "name another folder")


def exists_error(path: str) -> PathError:
    """The refusal to replace a file."""
    return PathError(path, "it exists already", "name another file, or replace it with --force")


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths are one file: by another spelling, a link of either kind, or letters of another case."""
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there
        return os.path.realpath(one) == os.path.realpath(other)


def _is_source(out: str, source: str) -> PathError:
    return PathError(out, f"it is the very file that is read ({source})", "name another file to write")


def _unknown_scheme(address: str) -> str:
    scheme = address.partition(":")[0]
    return "s3 takes two slashes" if scheme.lower() == S3 else f"the scheme is {scheme}:"


def _check_content(source: str, path: Path) -> None:
    """A file by another extension is named by what is in it, with the way to a file that can be read."""
    suffix = path.suffix.lower()
    if suffix in EXTENSIONS:
        return
    found, remedy = formats.content(path)
    if found is None:
        _check_extension(source, path.name)
    raise PathError(source, f"the extension is {suffix or 'missing'}, the content {found}", remedy)


def _check_extension(shown: str, name: str, extensions: Sequence[str] = EXTENSIONS) -> None:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in extensions:
        raise PathError(shown, f"the extension is {suffix or 'missing'}", f"expected {' or '.join(extensions)}")
