"""The six steps of CONTRIBUTING.md, followed word by word in a copy of the program: the result passes every rule."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

COPIED = ("app", "dashboards", "infra", "ops", "training", "tests")
BLOCK = re.compile(r"^```(diff|python) (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
RULES = [
    "tests/policy/test_graph_rules.py",
    "tests/policy/test_network_truth_table.py",
    "tests/unit/infra/test_echo.py",
]


def steps() -> list[tuple[str, str, str]]:
    """(kind, file, text) of each block of the section."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    section = text.split("## Adding a workload to the platform\n", 1)[1].split("\n## ", 1)[0]
    return BLOCK.findall(section)


def insert(path: Path, block: str) -> None:
    """Apply a diff block: its added lines go after its one line of context, which must occur once."""
    context = [line[1:] for line in block.splitlines() if line.startswith(" ")]
    added = [line[1:] for line in block.splitlines() if line.startswith("+")]
    lines = path.read_text("utf-8").splitlines()
    assert len(context) == 1
    assert lines.count(context[0]) == 1, f"{path.name} has {lines.count(context[0])} lines {context[0]!r}"
    at = lines.index(context[0]) + 1
    path.write_text("\n".join([*lines[:at], *added, *lines[at:], ""]), encoding="utf-8")


SELDOM = pytest.mark.long(seconds=60, together=__name__)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program with the workload added."""
    target = tmp_path_factory.mktemp("six-steps")
    for folder in COPIED:
        shutil.copytree(ROOT / folder, target / folder)
    for file in [ROOT / "pyproject.toml", *ROOT.glob("Pulumi*.yaml")]:
        shutil.copy(file, target)
    for kind, name, text in steps():
        if kind == "diff":
            insert(target / name, text)
        else:
            (target / name).write_text(text, encoding="utf-8")
    return target


def run(copy: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    return subprocess.run(
        [sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )


def test_there_are_six_steps() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert re.findall(r"^\*\*(\d)\. ", text, re.MULTILINE) == ["1", "2", "3", "4", "5", "6"]


@SELDOM
def test_the_new_workload_keeps_every_rule(copy: Path) -> None:
    done = run(copy, "-m", "pytest", "-q", *RULES)
    assert done.returncode == 0, done.stdout[-3000:]


@SELDOM
def test_its_identities_are_new_and_then_locked(copy: Path) -> None:
    before = run(copy, "-m", "pytest", "-q", "tests/contracts/test_identities.py")
    assert before.returncode == 1
    assert "churn:workloads:Echo$kubernetes:apps/v1:Deployment::echo-deployment" in before.stdout
    run(copy, "tests/contracts/test_identities.py").check_returncode()
    after = run(copy, "-m", "pytest", "-q", "tests/contracts/test_identities.py")
    assert after.returncode == 0, after.stdout[-3000:]
