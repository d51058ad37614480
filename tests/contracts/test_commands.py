"""Every command in the documentation exists, with the options that it has there."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from support.paths import ROOT
from typer.testing import CliRunner

from ops.cli.main import app

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(?:sh|bash|shell|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"^([a-z][a-z-]*):[^=\n]*## (.+)$", re.MULTILINE)
PHONY = re.compile(r"^\.PHONY: (.+)$", re.MULTILINE)
ASSIGNMENT = re.compile(r"^\w+=")


def targets() -> dict[str, str]:
    return dict(TARGET.findall((ROOT / "Makefile").read_text()))


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command in the text's shell blocks, without a prompt or assignments before it."""
    for block in FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            try:
                words = shlex.split(line.removeprefix("$ "), comments=True)
            except ValueError:  # a quoted text over several lines, which none of our commands has
                continue
            for command in split(words, {"&&", "||", ";", "|", "&"}):
                while command and ASSIGNMENT.match(command[0]):
                    command.pop(0)
                if command:
                    yield command


def split(words: list[str], separators: set[str]) -> Iterator[list[str]]:
    command: list[str] = []
    for word in words:
        if word in separators:
            yield command
            command = []
        else:
            command.append(word)
    yield command


def problem(command: list[str]) -> str | None:
    """What is wrong with a command of ours; None if it is right, or another program's."""
    program = command[0].removeprefix("./").removeprefix(".venv/bin/")
    if program == "make":
        asked = [word for word in command[1:] if not word.startswith("-") and not ASSIGNMENT.match(word)]
        unknown = [target for target in asked if target not in targets()]
        return f"no make target {', '.join(unknown)}" if unknown else None
    if program == "churn":
        return churn_problem(command[1:])
    return None


def churn_problem(words: list[str]) -> str | None:
    """The first word that `churn` does not know; None if it knows all."""
    current = typer.main.get_command(app)
    for word in words:
        if word.startswith("--"):
            known = {name for parameter in current.params for name in parameter.opts} | {"--help"}
            if word.partition("=")[0] not in known:
                return f"no option {word} of {current.name}"
        elif hasattr(current, "commands"):
            if word not in current.commands:
                return f"no command {word} of {current.name}"
            current = current.commands[word]
    return None


def leaves(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from leaves(child, (*path, name))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_of_a_document_exist(document: Path) -> None:
    assert document.exists() or document.name == "CONTRIBUTING.md", f"{document.name} is missing"
    text = document.read_text() if document.exists() else ""
    wrong = [f"{shlex.join(c)}: {why}" for c in commands(text) if (why := problem(c))]
    assert not wrong


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("make up", None),
        ("$ PORT=9000 make up", None),
        ("make check && .venv/bin/churn history --json", None),
        ("churn data generate \\\n  --rows 10 # few", None),
        ("curl -s http://127.0.0.1:8000/live", None),
        ("make everything", "no make target everything"),
        ("churn data invent", "no command invent of data"),
        ("churn train --fast", "no option --fast of train"),
    ],
)
def test_the_check_itself(block: str, expected: str | None) -> None:
    problems = [why for c in commands(f"```sh\n{block}\n```\n") if (why := problem(c))]
    assert problems == ([expected] if expected else [])


@pytest.mark.parametrize("path", list(leaves(typer.main.get_command(app))), ids=" ".join)
def test_each_command_has_help_that_teaches(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output
    if path and path != ("data",):
        assert f"churn {' '.join(path)}" in result.output.partition("Example:")[2], "an example to copy"


def test_each_target_explains_itself() -> None:
    phony = {name for line in PHONY.findall((ROOT / "Makefile").read_text()) for name in line.split()}
    assert phony == set(targets())
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name, words in targets().items():
        assert re.search(rf"^  {name} +{re.escape(words)}$", shown, re.MULTILINE)
