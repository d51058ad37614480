"""Recordings of stacks, shared between test processes and runs.

Recording a stack on AWS takes seconds of processor time, and every test process needs all three stacks. A recording
depends on nothing but the program, the packages it imports and the configuration, so a file named by the hash of these
holds it; any change to one of them makes another name.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from support.paths import ROOT, cache_folder

from ops.stack.recording import Recording

PROGRAM: Final = ("app", "contracts", "dashboards", "infra", "ops", "tests/support")
"""Folders whose files decide what a recording holds."""
SUFFIXES: Final = frozenset({".py", ".yaml", ".json"})
MOST_PROGRAMS: Final = 4
"""Programs whose recordings are kept: more than one, since tests also record a changed copy of the program."""


@cache
def program_hash() -> str:
    """Identify the program and the versions of what it runs on."""
    digest = hashlib.sha256(sys.version.encode())
    for name in sorted({entry.metadata["Name"] for entry in importlib.metadata.distributions()}, key=str.lower):
        digest.update(f"{name}=={importlib.metadata.version(name)}\n".encode())
    paths = (path for folder in PROGRAM for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES)
    for path in sorted(paths):
        digest.update(f"{path.relative_to(ROOT)}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:20]


def cached(stack: str, config: Mapping[str, Any], record: Callable[[], Recording]) -> Recording:
    """The recording of a stack with this configuration; only the first process that asks makes it."""
    folder = cache_folder() / "recordings" / program_hash()
    name = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:20]
    path = folder / f"{stack}-{name}.pickle"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return _read(path)
        recording = record()
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_bytes(pickle.dumps(recording))
        partial.rename(path)
    _forget_old(folder)
    return _read(path)


def _read(path: Path) -> Recording:
    # What is unpickled was written by this user's tests into this user's cache, as the programs beside it were.
    recording: Recording = pickle.loads(path.read_bytes())  # noqa: S301 - see above
    return recording


def _forget_old(current: Path) -> None:
    """Remove the recordings of all but the newest programs."""
    current.touch()
    newest_first = sorted(current.parent.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in newest_first[MOST_PROGRAMS:]:
        shutil.rmtree(folder, ignore_errors=True)
