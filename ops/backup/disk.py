"""Makes sure that what was written is on the disk, and would be there after a power cut."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Final

WORKERS: Final = 8
"""Files that are waited for at a time: they wait for the disk and need no processor."""


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk; only these, whatever else is being written."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_all(paths: Iterable[Path]) -> None:
    """Wait for many; together they take the disk far fewer turns than each by itself after it was written."""
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(flush, paths))


def begin_to_flush(file: IO[bytes]) -> None:
    """Let the disk begin with what was written, so that `flush` has less to wait for; promises nothing."""
    file.flush()
    # On Linux this advice begins to write out, and drops from memory what is on the disk already; macOS has none.
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
