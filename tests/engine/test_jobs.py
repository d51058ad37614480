"""A Job that failed runs again at the next `up`, without a step by hand; one that completed does not."""

from __future__ import annotations

from typing import Any

import pytest
from support.engine.cluster import Key
from support.engine.project import Project

from infra.naming import MLFLOW_MIGRATE

pytestmark = [
    pytest.mark.service,
    pytest.mark.timeout(300, func_only=True),
    pytest.mark.long(seconds=45, together=__name__),
]

MIGRATION = "mlflow-migration-job"


def migrations(project: Project) -> list[tuple[Key, dict[str, Any]]]:
    jobs = project.cluster.objects.items()
    return [(key, job) for key, job in jobs if key.kind == "Job" and key.name.startswith(MIGRATION)]


def test_up_runs_a_failed_job_again_but_not_a_complete_one(project: Project) -> None:
    project.cluster.failing = {MLFLOW_MIGRATE.name}
    first = project.run("up")
    assert not first.succeeded
    assert any("failed" in error for error in first.errors), first.printed
    [(failed, _)] = migrations(project)
    # What depends on the migration was not created, and nothing of the failure is lost.
    assert Key("Deployment", "churn-mlops", "mlflow") not in project.cluster.objects

    project.cluster.failing = set()  # a person has put right what it complained about
    again = project.run("up")
    assert again.succeeded, again.printed
    steps = [step.operation for step in again.steps if step.name == MIGRATION]
    assert steps.index("delete-replaced") < steps.index("create-replacement"), steps  # no two migrations at once
    [(key, job)] = migrations(project)
    assert key != failed
    assert job["status"]["conditions"] == [{"type": "Complete", "status": "True"}]
    assert project.run("preview", expect_no_changes=True).succeeded
