"""Programs the tests run that are no packages of the project: each made once from a locked list, and kept in the cache.

The folder of a tool carries the hash of its lock, so a changed lock makes it anew. It is made beside its place and
renamed, so that none is ever half there; of several tests that want it at once, one makes it and the others wait.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest
from support.paths import TOOLS, cache_folder


def missing(what: str) -> None:
    """End the test that needs a tool: named and skipped at a desk, failed where CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def _run(command: Sequence[str], name: str) -> str:
    """Output of a step in the making of a tool."""
    program = shutil.which(command[0])
    if program is None:
        missing(f"{name} is missing: {command[0]} is not installed")
    done = subprocess.run([str(program), *command[1:]], capture_output=True, text=True, check=False)
    if done.returncode:
        missing(f"{name} is missing: {' '.join(command[:3])} failed: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def _made_once(name: str, lock: Path, make: Callable[[Path], None]) -> Path:
    """The folder that ``make`` fills, of this lock's state."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    place = cache_folder() / f"{name}-{digest}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / f".{name}.lock").open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if place.is_dir():
            return place
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{name}-") as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            make(made)
            made.rename(place)
    return place


def go_tool(name: str, module: str = "lint", *, tags: str = "") -> Path:
    """A program that `tests/tools/<module>/go.mod` lists, built with these tags."""
    source = TOOLS / module

    def build(folder: Path) -> None:
        options = ["-trimpath", "-tags", tags, "-o", f"{folder}{os.sep}"]
        _run(["go", "build", "-C", str(source), *options, "tool"], name)

    return _made_once(module, source / "go.sum", build) / name


def go_module(source: str, module: str) -> Path:
    """Files of a published module at the version that `tests/tools/<source>/go.mod` locks, checked against its sum."""
    answer = _run(["go", "mod", "download", "-C", str(TOOLS / source), "-json", module], module)
    return Path(json.loads(answer)["Dir"])


def venv_tool(name: str, module: str) -> list[str]:
    """Command of a Python tool whose dependencies do not fit the project's: in an environment of its own."""
    lock = TOOLS / name / "requirements.lock"

    def install(folder: Path) -> None:
        uv = [sys.executable, "-m", "uv", "--quiet"]
        _run([*uv, "venv", "--allow-existing", "--python", sys.executable, str(folder)], name)
        _run([*uv, "pip", "install", "--python", str(folder), "--require-hashes", "-r", str(lock)], name)

    place = _made_once(f"{name}-python{platform.python_version()}", lock, install)
    # By its module: the scripts of an environment hold the path it was made at.
    return [str(place / "bin" / "python"), "-m", module]


_ON_THE_CLUSTER: Final = "remove_all_sd,enable_kubernetes_sd"
"""Of Prometheus' ways to find targets only the one that is used: half the time to build it."""


def newest_prometheus(name: str) -> Path:
    """`prometheus` or `promtool` of the version that `tests/tools/prometheus/go.mod` locks."""
    return go_tool(name, "prometheus", tags=_ON_THE_CLUSTER)


def thanos() -> Path:
    """`thanos` of the version that prod runs, with its makers' build tags: without them its first call crashes it."""
    return go_tool("thanos", "thanos", tags="netgo,slicelabels")


def newest_alertmanager(name: str) -> Path:
    """`alertmanager` or `amtool` of the version that `tests/tools/alertmanager/go.mod` locks.

    The published module lacks the pages of its user interface, which are compiled in: a copy is given an empty one.
    """
    source, module = TOOLS / "alertmanager", "github.com/prometheus/alertmanager"

    def build(folder: Path) -> None:
        copy, page = folder.parent / "copy", folder.parent / "copy" / "ui" / "app" / "dist" / "index.html"
        # Files of the module cache are read-only, and so would their copies be.
        shutil.copytree(go_module("alertmanager", module), copy, copy_function=shutil.copyfile)
        for folder_of_copy in (copy, *copy.rglob("*/")):
            folder_of_copy.chmod(0o755)
        page.parent.mkdir(parents=True)
        page.write_text("<!doctype html><title>Alertmanager</title>\n", encoding="utf-8")
        lock = folder.parent / "go.mod"
        shutil.copyfile(source / "go.mod", lock)
        shutil.copyfile(source / "go.sum", lock.with_suffix(".sum"))
        _run(["go", "mod", "edit", "-replace", f"{module}={copy}", str(lock)], name)
        build = ["go", "build", "-C", str(source), "-modfile", str(lock), "-trimpath"]
        _run([*build, "-o", f"{folder}{os.sep}", "tool"], name)

    return _made_once("alertmanager", source / "go.sum", build) / name
