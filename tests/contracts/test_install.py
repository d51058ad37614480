"""The Makefile installs with uv where it works, and with pip where it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.paths import ROOT

# pip puts the locked uv into the environment, as the real one does.
PIP = """#!/bin/sh
echo "pip $*" >>log
case "$*" in *uv.lock) cp uv .venv/bin/uv ;; esac
"""
UV = """#!/bin/sh
[ "$1" = --version ] && exit
echo "uv $*" >>log
exit {code}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile and the locks, with an empty environment."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / ".made").touch()
    return tmp_path


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def installed(checkout: Path, target: str, *, code: int = 0, on_path: bool = False) -> list[tuple[str, str]]:
    """Which installer ran on what, where uv ends with this code."""
    program(checkout / ".venv" / "bin" / "python", PIP)
    program(checkout / "uv", UV.format(code=code))
    if on_path:
        (checkout / "path").mkdir()
        shutil.copy(checkout / "uv", checkout / "path")
    folders = [str(checkout / "path"), *os.environ["PATH"].split(os.pathsep)]
    path = os.pathsep.join(folder for folder in folders if on_path or not (Path(folder) / "uv").exists())
    subprocess.run(["make", target], cwd=checkout, env=os.environ | {"PATH": path}, check=True, capture_output=True)
    calls = (checkout / "log").read_text().splitlines()
    assert all("--require-hashes" in call or "--no-deps -e ." in call for call in calls)
    return [(call.split()[0], call.split()[-1]) for call in calls]


def test_the_development_environment_is_installed_with_the_locked_uv(checkout: Path) -> None:
    assert installed(checkout, ".venv/.dev") == [
        ("pip", ".venv/uv.lock"),
        ("uv", "requirements/dev.lock"),
        ("uv", "."),
    ]
    lock = (checkout / ".venv" / "uv.lock").read_text().splitlines()
    assert [line.split("==")[0] for line in lock if not line.startswith("    --hash=sha256:")] == ["uv"]
    assert (len(lock) > 1, lock[-1].endswith("\\")) == (True, False)


def test_uv_of_the_machine_is_taken_first(checkout: Path) -> None:
    assert installed(checkout, ".venv/.runtime", on_path=True) == [("uv", "requirements/training.lock"), ("uv", ".")]


def test_boosted_trees_are_an_extra_of_their_own(checkout: Path) -> None:
    assert installed(checkout, "boosting", on_path=True) == [("uv", "requirements/boosting.lock"), ("uv", ".")]


def test_without_uv_pip_installs(checkout: Path) -> None:
    assert installed(checkout, ".venv/.runtime") == [("pip", "requirements/training.lock"), ("pip", ".")]


def test_pip_installs_what_uv_could_not(checkout: Path) -> None:
    assert installed(checkout, ".venv/.runtime", code=2, on_path=True) == [
        ("uv", "requirements/training.lock"),
        ("pip", "requirements/training.lock"),
        ("uv", "."),
        ("pip", "."),
    ]
