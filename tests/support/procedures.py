"""The procedures of docs/dr.md as they are written there, for tests that follow them."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "dr.md"
_BLOCK: Final = r"^ *```{}\n(.*?)^ *```$"


def commands(title: str, language: str = "sh") -> str:
    """The commands below a heading, all of its blocks; a heading without any fails the test that asks.

    Blocks of `sh` run wherever `churn` is installed; those of `bash` change a cluster.
    """
    return "".join(blocks(DOCUMENT, title, language))


def blocks(document: Path, heading: str, language: str = "sh") -> list[str]:
    """The text of each block of commands below a heading of a document; there must be some."""
    _, _, rest = document.read_text("utf-8").partition(f"# {heading}\n")
    section = re.split(r"^##", rest, maxsplit=1, flags=re.MULTILINE)[0]
    texts: list[str] = re.findall(_BLOCK.format(language), section, re.MULTILINE | re.DOTALL)
    assert any(text.strip() for text in texts), f"{document.name} has no commands for {heading!r}"
    return texts


def pulumi_up(title: str) -> dict[str, Any]:
    """The options of the one `pulumi up` among the commands for a cluster."""
    (line,) = (line for line in commands(title, "bash").splitlines() if line.strip().startswith("pulumi up"))
    return up_options(line)


def up_options(line: str) -> dict[str, Any]:
    """The options of a `pulumi up` as the Automation API takes them; one that is not known here fails the test."""
    options: dict[str, Any] = {}
    pulumi, up, *words = shlex.split(line, comments=True)
    assert (pulumi, up) == ("pulumi", "up")
    while words:
        word = words.pop(0)
        if word == "--stack":
            assert words.pop(0) == "$STACK"
        elif word == "--refresh":
            options["refresh"] = True
        elif word == "--target":
            options.setdefault("target", []).append(words.pop(0))
        else:
            assert word == "--yes", f"the tests do not know the option {word}"
    return options


def follow(title: str, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a procedure's commands in a folder, as an operator's shell would that stops at the first failure."""
    shell = ["bash", "-euo", "pipefail", "-c", commands(title)]
    return subprocess.run(
        shell, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
