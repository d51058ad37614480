"""Runs mypy for `make types`, with results that outlive a clean checkout.

From nothing, mypy takes minutes of processor time, nearly all of it for what did not change. Its own cache knows by
content what changed, wherever the checkout lies; so a checkout without one begins with a copy of the cache of the
newest run that found no error. Every run writes to the copy in its checkout, and only whole folders are put into place:
mypy's databases bear neither two writers nor one that is killed. On a machine without the shared folder, as in the
workflow `nightly`, everything is checked from nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.paths import ROOT, cache_folder

OWN: Final = ".mypy_cache"
DECISIVE: Final = ("requirements/dev.lock", "pyproject.toml")
"""The versions of mypy, of its plugins and of the packages whose types it reads; and its settings."""
MOST_FOLDERS: Final = 2
"""Shared folders that are kept: a branch may have another lock."""


def shared_folder(checkout: Path) -> Path:
    """Return the folder of shared results for a checkout's interpreter, locked packages and settings."""
    digest = hashlib.sha256(f"{sys.version} {sys.platform}".encode())
    for name in DECISIVE:
        digest.update(hashlib.sha256((checkout / name).read_bytes()).digest())
    return cache_folder() / "mypy" / digest.hexdigest()[:20]


def check(checkout: Path) -> int:
    """Run mypy in a checkout; return its exit code."""
    shared, own = shared_folder(checkout), checkout / OWN
    is_clean = not own.exists()
    if is_clean:
        with _one_at_a_time(shared.parent):
            if shared.is_dir():
                _replace(own, shared)
    code = subprocess.run([sys.executable, "-m", "mypy", "--cache-dir", OWN], cwd=checkout, check=False).returncode
    if is_clean and code == 0:
        with _one_at_a_time(shared.parent):
            _replace(shared, own)
            _forget_old(shared)
    return code


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace(target: Path, source: Path) -> None:
    """Put a copy of a folder into place, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".partial-") as scratch:
        copy = Path(scratch) / "copy"
        shutil.copytree(source, copy)
        if target.exists():
            target.rename(Path(scratch) / "old")
        copy.rename(target)


def _forget_old(current: Path) -> None:
    """Remove all but the newest shared folders."""
    current.touch()
    folders = [folder for folder in current.parent.iterdir() if not folder.name.startswith(".")]
    for folder in sorted(folders, key=lambda folder: folder.stat().st_mtime, reverse=True)[MOST_FOLDERS:]:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(check(ROOT))
