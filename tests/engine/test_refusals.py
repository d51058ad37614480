"""A configuration that cannot work is refused in clear lines, before anything is created."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pulumi import automation as auto
from support.engine.cluster import MemoryCluster
from support.engine.project import Project

pytestmark = [pytest.mark.service, pytest.mark.timeout(300, func_only=True)]
SELDOM = pytest.mark.long(seconds=30, together=__name__)


@pytest.fixture(scope="module")
def never_up(command: auto.PulumiCommand, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with Project(
        "dev", command=command, folder=tmp_path_factory.mktemp("refused"), cluster=MemoryCluster()
    ).open() as opened:
        opened.cli("stack", "init")
        yield opened


@pytest.fixture
def project(never_up: Project) -> Iterator[Project]:
    """One project for all tests, since nothing is ever created; each test starts with the original settings."""
    settings = never_up.settings.read_text()
    yield never_up
    never_up.settings.write_text(settings)


def drop_section(config: dict[str, Any]) -> None:
    del config["churn:backup"]


def drop_key(config: dict[str, Any]) -> None:
    del config["churn:backup"]["time_zone"]


def misspell_section(config: dict[str, Any]) -> None:
    config["churn:backups"] = config.pop("churn:backup")


def misspell_key(config: dict[str, Any]) -> None:
    config["churn:api"]["max_replica"] = config["churn:api"].pop("max_replicas")


def invert_range(config: dict[str, Any]) -> None:
    config["churn:api"]["max_replicas"] = 1


def keep_nothing(config: dict[str, Any]) -> None:
    config["churn:backup"]["retention_days"] = 0


def choose_unknown_ingress(config: dict[str, Any]) -> None:
    config["churn:ingress"]["kind"] = "traefik"


@pytest.mark.parametrize(
    ("edit", "keys"),
    [
        (drop_key, ["churn:backup.time_zone is missing"]),
        (misspell_key, ["churn:api.max_replica is not a known key", "churn:api.max_replicas is missing"]),
        pytest.param(invert_range, ["churn:api: max_replicas 1 is below min_replicas 2"], marks=SELDOM),
        pytest.param(keep_nothing, ["churn:backup.retention_days is 0"], marks=SELDOM),
        pytest.param(choose_unknown_ingress, ["churn:ingress.kind is 'traefik'"], marks=SELDOM),
    ],
)
def test_what_cannot_work_is_refused_with_a_line_for_each_key(
    project: Project, edit: Callable[[dict[str, Any]], None], keys: list[str]
) -> None:
    project.configure(edit)
    refused = project.run("up")
    assert not refused.succeeded
    assert project.journal.calls == []
    assert "Traceback" not in refused.printed
    title, *lines = refused.errors[0].splitlines()  # the engine repeats an inline program's errors
    assert title == "Pulumi.dev.yaml cannot work:"
    assert len(lines) == len(keys)
    for line, key in zip(sorted(lines), sorted(keys), strict=True):
        assert line.strip().startswith(key)


@pytest.mark.parametrize("edit", [drop_section, pytest.param(misspell_section, marks=SELDOM)])
def test_a_missing_section_is_refused_by_the_engine_itself(
    project: Project, edit: Callable[[dict[str, Any]], None]
) -> None:
    project.configure(edit)
    refused = project.run("up")
    assert not refused.succeeded
    assert project.journal.calls == []
    assert refused.printed.strip().endswith("Stack 'dev' is missing configuration value 'churn:backup'")


@SELDOM
def test_a_missing_kubeconfig_is_refused_by_its_path(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(project.environment, "KUBECONFIG", "/nowhere/kubeconfig")
    refused = project.run("up")
    assert not refused.succeeded
    assert project.journal.calls == []
    assert "Traceback" not in refused.printed
    assert refused.errors[0].startswith("there is no kubeconfig at /nowhere/kubeconfig: ")
    assert "\n" not in refused.errors[0]


def test_a_resource_without_its_provider_is_refused(project: Project) -> None:
    """The default provider would use whatever cluster the person's kubectl points to."""
    program = project.folder / "infra" / "__main__.py"
    text = program.read_text()
    program.write_text(f"{text}\nimport pulumi_kubernetes\n\npulumi_kubernetes.core.v1.ConfigMap('stray')\n")
    refused = project.run("preview")
    program.write_text(text)
    assert not refused.succeeded
    assert any("Default provider for 'kubernetes' disabled" in error for error in refused.errors), refused.printed
