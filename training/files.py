"""Checks of the paths that people give: can the file be read or written? Before any work, and without slow imports."""

from __future__ import annotations

import hashlib
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
_GLOB: Final = frozenset("*?[")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
"""One slash is enough: a path object turns ``s3://bucket`` into ``s3:/bucket``, and nobody means a folder of that
name."""


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
        """The same content for a program that reads JSON."""
        return {"path": self.path, "problem": self.problem, "remedy": self.remedy}


def is_s3(address: str) -> bool:
    return address.startswith(_S3_PREFIX)


def is_pattern(source: str) -> bool:
    """Whether a source is a pattern for names of files, and no file itself."""
    return bool(_GLOB & set(source)) and not Path(source).exists()


def pattern_root(pattern: str) -> Path:
    """The folder below which a pattern looks for files."""
    return Path(re.split(r"[*?\[]", pattern, maxsplit=1)[0] + "x").parent


def check_scheme(address: str) -> None:
    """Check that an address that is not one of S3 is a local path.

    Raises:
        PathError: it names another scheme.
    """
    if _SCHEME.match(address):
        raise PathError(address, _unknown_scheme(address), "expected a local path or s3://bucket/key")


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def split_s3(address: str) -> tuple[str, str]:
    """Split ``s3://bucket/key`` into bucket and key.

    Raises:
        PathError: it names no bucket or no object.
    """
    parts = urlsplit(address)
    key = parts.path.lstrip("/")
    if not parts.netloc or not key or key.endswith("/"):
        raise PathError(address, "no bucket or no object name", "write s3://bucket/key")
    return parts.netloc, key


def check_source(source: str) -> None:
    """Check that customers can be read: a file, a folder or a pattern. For S3 only the address is checked.

    Raises:
        PathError: it is missing, unreadable, or of another kind than a table.
    """
    if is_s3(source):
        if not urlsplit(source).path.endswith("/") or not urlsplit(source).netloc:
            split_s3(source)
        return
    check_scheme(source)
    path = Path(source)
    if path.is_dir():
        if not any(path.iterdir()):
            raise PathError(source, "the folder is empty", "expected a folder with the parts of a table")
        return
    if is_pattern(source):
        return
    if not path.is_file():
        raise PathError(
            source, "no such file", "expected the path of a CSV, Excel or Parquet file, or a folder of them"
        )
    try:
        path.open("rb").close()
    except OSError as error:
        raise PathError(source, f"it cannot be read ({error.strerror})", "check its permissions") from error
    kind = formats.real_format(path)
    if kind is not None and kind not in formats.READABLE:
        raise PathError(source, f"the content is {kind}", formats.remedy(kind))


def check_output(
    out: str, *, overwrite: bool, source: str | None = None, extensions: Sequence[str] = EXTENSIONS
) -> None:
    """Check that a file can be written: its folder exists or can be created, and no other file is lost.

    Whether an object exists in S3 is checked when it is opened for writing, which is before the work too.

    Args:
        out: a local path or ``s3://bucket/key``.
        overwrite: whether an existing file may be replaced.
        source: the file that is read meanwhile; it is never replaced.
        extensions: the kinds of file that can be written.

    Raises:
        PathError: it cannot be written; the message says why.
    """
    if is_s3(out):
        bucket, key = split_s3(out)
        _check_extension(out, key, extensions)
        if source is not None and is_s3(source) and split_s3(source) == (bucket, key):
            raise _is_source(out, source)
        return
    check_scheme(out)
    path = Path(out)
    if path.is_dir():
        raise PathError(out, "it is a folder", f"name a file in it, such as {path / ('out' + extensions[0])}")
    _check_extension(out, path.name, extensions)
    if source is not None and not is_s3(source) and same_file(path, Path(source)):
        raise _is_source(out, source)
    check_free(path, overwrite=overwrite)
    check_folder(path.parent)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Check that nothing stands in the way that may not be replaced. A link counts as a file, whatever it points to.

    Raises:
        PathError: something stands in the way.
    """
    if path.exists() and not path.is_file():
        raise PathError(str(path), "it is not a regular file", "name another file to write")
    if os.path.lexists(path) and not overwrite:
        raise exists_error(str(path))


def check_folder(folder: Path) -> None:
    """Check that files can be created in a folder, or the folder itself if it is missing.

    Raises:
        PathError: a part of the path is a file, or is not writable.
    """
    present = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not present.is_dir():
        raise PathError(str(folder), f"{present} is a file, not a folder", "name another folder")
    if not os.access(present, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PathError(str(folder), f"no permission to write in the folder {present}", "name another folder")


def exists_error(path: str) -> PathError:
    """The error for a file that may not be replaced."""
    return PathError(path, "it exists already", "name another file, or replace it with --force")


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file: through another spelling, a link of either kind, or different case."""
    try:
        return one.samefile(other)
    except OSError:  # one of them does not exist
        return os.path.realpath(one) == os.path.realpath(other)


def _is_source(out: str, source: str) -> PathError:
    return PathError(out, f"it is the same file as the input ({source})", "name another file to write")


def _unknown_scheme(address: str) -> str:
    scheme = address.partition(":")[0]
    return "s3 takes two slashes" if scheme.lower() == S3 else f"the scheme is {scheme}:"


def _check_extension(shown: str, name: str, extensions: Sequence[str] = EXTENSIONS) -> None:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in extensions:
        raise PathError(shown, f"the extension is {suffix or 'missing'}", f"expected {' or '.join(extensions)}")
