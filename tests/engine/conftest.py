"""Projects for the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi import automation as auto
from support.engine.bring_up import ModelCluster
from support.engine.cluster import MemoryCluster
from support.engine.project import Deployed, Project


@pytest.fixture
def project(command: auto.PulumiCommand, tmp_path: Path) -> Iterator[Project]:
    """The `dev` stack, not deployed yet."""
    with Project("dev", command=command, folder=tmp_path, cluster=MemoryCluster()).open() as opened:
        yield opened


@pytest.fixture(scope="session")
def deployed(command: auto.PulumiCommand, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The `dev` stack after its first `up`. Tests share it, and apply whatever they change."""
    cluster: MemoryCluster = ModelCluster()
    webhook = "https://hooks.example.invalid/services/canary-0f6b2d"
    with Project("dev", command=command, folder=tmp_path_factory.mktemp("deployed"), cluster=cluster).open() as project:
        project.cli("stack", "init")
        project.configure(lambda config: config["churn:alertmanager"].update(slack=True, slack_channel="#churn"))
        project.set_webhook(webhook)
        preview = project.run("preview", diff=True)
        calls = len(project.journal.calls)
        first_up = project.run("up", diff=True)
        yield Deployed(project=project, webhooks=[webhook], preview=preview, calls_of_preview=calls, first_up=first_up)
