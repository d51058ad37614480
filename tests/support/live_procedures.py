"""Follows the commands of docs/dr.md that change a cluster, on the live one."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from support import procedures
from support.live import Live
from support.paths import ROOT


def desk_with_churn(folder: Path) -> Path:
    """Put the command `churn` into a folder, which is returned."""
    program = folder / "churn"
    program.write_text(
        f'#!/bin/sh\ncd {shlex.quote(str(ROOT))} && exec {shlex.quote(sys.executable)} -m ops.cli "$@"\n'
    )
    program.chmod(0o755)
    return folder


def environment(live: Live, desk: Path) -> dict[str, str]:
    """What an operator's shell has: `churn`, kubectl and its configuration."""
    path = os.pathsep.join((str(desk), str(Path(live.kubectl.program).parent), os.environ["PATH"]))
    return {**os.environ, "PATH": path, "STACK": "dev"}


def follow(live: Live, title: str, desk: Path, **variables: str) -> str:
    """Run the commands of a procedure that change a cluster, in their order; returns what they printed.

    `pulumi up` is run by the tests' own engine, which has the stand-in of the Kubernetes provider.
    """
    printed = ""
    for line in procedures.commands(title, "bash").splitlines():
        if line.strip().startswith("pulumi up"):
            live.apply(**procedures.up_options(line))
            continue
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            env=environment(live, desk) | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        printed += done.stdout
    return printed
