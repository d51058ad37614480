"""What the project's own images are built from, and a tag that changes with it.

Kubernetes rolls a Deployment only when its text changes. Images that keep their tag go on running as they were started,
whatever was loaded under that tag since.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app import __version__

RECIPE: Final = ("Dockerfile", ".dockerignore")
_COPY: Final = re.compile(r"^COPY (?!--from=)(?P<words>.+)$", re.MULTILINE)
_DIGITS: Final = 12


def sources(root: Path) -> list[str]:
    """Return what the images are built from: the Dockerfile, and the files and folders that it copies."""
    text = (root / "Dockerfile").read_text(encoding="utf-8")
    copied = {word for match in _COPY.finditer(text) for word in match["words"].split()[:-1]}
    return [*RECIPE, *sorted(copied)]


def _files(root: Path) -> Iterator[Path]:
    for name in sources(root):
        path = root / name
        inside = path.rglob("*") if path.is_dir() else (path,)
        yield from sorted(file for file in inside if file.is_file() and "__pycache__" not in file.parts)


def tag(root: Path) -> str:
    """Return a tag for images built from the files as they are now, committed or not: the version and a hash.

    It does not change with what the build fetches: a newer base image under the same name keeps the tag.
    """
    content = hashlib.sha256()
    for file in _files(root):
        executable = bool(file.stat().st_mode & 0o100)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        content.update(f"{file.relative_to(root).as_posix()}\0{executable}\0{digest}\n".encode())
    return f"{__version__}-{content.hexdigest()[:_DIGITS]}"


def revision(root: Path) -> str:
    """Return the commit that the images are built from, marked as dirty if a file that goes into them was changed.

    Files that do not go into an image are left out: the deployment itself writes into the stack's configuration.
    """
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return "unknown"
    changed = _git(root, "status", "--porcelain", "--", *sources(root))
    return f"{commit}-dirty" if changed else commit


def _git(root: Path, *words: str) -> str | None:
    done = subprocess.run(  # noqa: S603 - a fixed program
        ["git", "-C", str(root), *words],  # noqa: S607 - found on PATH
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else None
