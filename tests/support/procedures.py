"""The procedures of docs/dr.md as they are written there, for tests that follow them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "dr.md"
_BLOCK: Final = r"^ *```{}\n(.*?)^ *```$"
_TARGET: Final = re.compile(r'--target "([^"]+)"')


def commands(title: str, language: str = "sh") -> str:
    """The commands below a heading, all of its blocks; a heading without any fails the test that asks.

    Blocks of `sh` run wherever `churn` is installed; those of `bash` change a cluster.
    """
    _, _, rest = DOCUMENT.read_text("utf-8").partition(f"\n### {title}\n")
    section = re.split(r"^##", rest, maxsplit=1, flags=re.MULTILINE)[0]
    lines = "".join(re.findall(_BLOCK.format(language), section, re.MULTILINE | re.DOTALL))
    assert lines.strip(), f"docs/dr.md has no commands for {title!r}"
    return lines


def pulumi_targets(title: str) -> list[str]:
    """The resources that the commands for a cluster have `pulumi up` change, and no others."""
    return targets(commands(title, "bash"))


def targets(command: str) -> list[str]:
    """The resources of a `pulumi up` that changes only some."""
    return _TARGET.findall(command)


def follow(title: str, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a procedure's commands in a folder, as an operator's shell would that stops at the first failure."""
    shell = ["bash", "-euo", "pipefail", "-c", commands(title)]
    return subprocess.run(
        shell, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
