"""Programs of the system that tests call."""

from __future__ import annotations

import shutil
import subprocess

from support.tools import missing


def program(name: str, package: str) -> str:
    """Where a program is; the test that needs it ends where it is missing."""
    found = shutil.which(name)
    if found is None:
        missing(f"{name} is missing: install the package {package}")
    return str(found)


def run(*command: str) -> str:
    """Output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
