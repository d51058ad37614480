"""The stacks' files are written as Pulumi writes them: its commands add what they must, and rewrite nothing else."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi import automation as auto
from support.engine.cluster import MemoryCluster
from support.engine.project import Project, without_key
from support.paths import ROOT
from support.recorder import STACKS

pytestmark = [pytest.mark.service, pytest.mark.timeout(300, func_only=True)]


SELDOM = pytest.mark.long(seconds=10, together=__name__)


@pytest.fixture(params=[stack if stack == "dev" else pytest.param(stack, marks=SELDOM) for stack in STACKS])
def project(request: pytest.FixtureRequest, command: auto.PulumiCommand, tmp_path: Path) -> Iterator[Project]:
    with Project(request.param, command=command, folder=tmp_path, cluster=MemoryCluster()).open() as opened:
        yield opened


def difference(before: str, after: str) -> list[str]:
    """The lines that were added and removed, as `git diff` shows them."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def test_init_adds_the_salt_and_a_setting_changes_its_line(project: Project) -> None:
    tracked = without_key((ROOT / project.settings.name).read_text())
    assert project.settings.read_text() == tracked
    project.cli("stack", "init")
    [salt] = difference(tracked, project.settings.read_text())
    assert salt.startswith("+encryptionsalt: v1:")

    before = project.settings.read_text()
    project.cli("config", "set", "--path", "churn:backup.retention_days", "31")
    removed, added = difference(before, project.settings.read_text())
    assert removed.startswith("-  churn:backup: {retention_days: ")
    assert added.startswith("+  churn:backup: {retention_days: 31, storage_gib: ")

    before = project.settings.read_text()
    project.cli("config", "set", "--secret", "--path", "churn:receivers.slack_url", "https://hooks.example.invalid/a")
    assert all(line.startswith("+") for line in difference(before, project.settings.read_text()))
