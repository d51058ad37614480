"""The real engine, and projects for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi import automation as auto
from support.engine.project import ROOT, Deployed, Project

NO_GO = 3


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> auto.PulumiCommand:
    made = subprocess.run([ROOT / "tools" / "engine.sh"], capture_output=True, text=True, check=False)
    if made.returncode == NO_GO and os.environ.get("CI") != "true":
        pytest.skip("the Pulumi engine is missing, and Go to build it: see tools/engine.sh")
    assert made.returncode == 0, made.stderr
    # The Automation API looks for it in a folder of this shape.
    root = tmp_path_factory.mktemp("engine")
    (root / "bin").mkdir()
    (root / "bin" / "pulumi").symlink_to(made.stdout.strip())
    return auto.PulumiCommand(str(root))


@pytest.fixture
def project(command: auto.PulumiCommand, tmp_path: Path) -> Iterator[Project]:
    """The `dev` stack, not deployed yet."""
    with Project("dev", command=command, folder=tmp_path).open() as opened:
        yield opened


@pytest.fixture(scope="session")
def deployed(command: auto.PulumiCommand, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The `dev` stack after its first `up`. Tests share it, and leave none of their changes pending."""
    webhook = "https://hooks.example.invalid/services/canary-0f6b2d"
    with Project("dev", command=command, folder=tmp_path_factory.mktemp("deployed")).open() as project:
        project.cli("stack", "init")
        project.configure(lambda config: config["churn:alertmanager"].update(slack=True, slack_channel="#churn"))
        project.set_webhook(webhook)
        shown = project.run("preview", diff=True)
        calls = len(project.journal.calls)
        made = project.run("up", diff=True)
        yield Deployed(project=project, webhooks=[webhook], shown=shown, calls_of_preview=calls, made=made)
