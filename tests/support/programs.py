"""Installed programs that tests run."""

from __future__ import annotations

import shutil
import subprocess

from support.tools import missing


def program(name: str, package: str) -> str:
    """The path of a program; if it is missing, the test that needs it is skipped or fails."""
    path = shutil.which(name)
    if path is None:
        missing(f"{name} is missing: install the package {package}")
    return str(path)


def run(*command: str) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
