"""A stack's life under the real engine: previewed, created, updated without a change, destroyed."""

from __future__ import annotations

import pytest
from support.engine.cluster import Key
from support.engine.project import Deployed, Project
from support.engine.recovery import crash_updating, recover, same_as_the_state

pytestmark = [
    pytest.mark.service,
    pytest.mark.timeout(300, func_only=True),
    pytest.mark.long(seconds=120, together=__name__),
]


def test_up_creates_what_the_preview_showed(deployed: Deployed) -> None:
    assert deployed.preview.succeeded, deployed.preview.printed
    assert deployed.calls_of_preview == 0
    assert deployed.first_up.succeeded, deployed.first_up.printed
    assert {step.urn for step in deployed.first_up.changes} == {step.urn for step in deployed.preview.changes}
    assert {step.operation for step in deployed.first_up.changes} == {"create"}


def test_a_second_up_changes_nothing(deployed: Deployed) -> None:
    before = len(deployed.project.journal.calls)
    again = deployed.project.run("up")
    assert again.succeeded, again.printed
    assert again.changes == []
    assert deployed.project.run("preview", expect_no_changes=True).succeeded
    assert len(deployed.project.journal.calls) == before


def test_what_was_being_updated_survives_a_crash_and_its_recovery(deployed: Deployed) -> None:
    project = deployed.project
    project.configure(lambda config: config["churn:api"]["resources"].update(cpu_request="150m"))
    key = Key("Deployment", "churn-serving", "api")
    serving = project.cluster.objects[key]["metadata"]["uid"]
    crash_updating(project, "api-deployment", "made")
    pending = project.state()["pending_operations"]
    assert ("updating", "api-deployment") in {
        (item["type"], item["resource"]["urn"].split("::")[3]) for item in pending
    }
    assert not any("deployment.apps api" in command for command in recover(project))
    assert project.cluster.objects[key]["metadata"]["uid"] == serving

    done = project.run("up")
    assert done.succeeded, done.printed
    same_as_the_state(project)
    assert project.cluster.objects[key]["metadata"]["uid"] == serving


def test_destroy_spares_what_a_stack_protects_until_it_no_longer_does(project: Project) -> None:
    """Protection off, `up`, `destroy`: how such a stack is taken down with all its data."""
    project.configure(lambda config: config["churn:state"].update(protect=True))
    up = project.run("up")
    assert up.succeeded, up.printed
    protected = {resource["urn"] for resource in project.state()["resources"] if resource.get("protect")}
    kinds = {"Namespace", "PersistentVolumeClaim", "StatefulSet"}
    data = {key: value for key, value in project.cluster.objects.items() if key.kind in kinds}
    assert {key.kind for key in data} == kinds

    refused = project.run("destroy", preview_only=True)  # the command line shows this before it asks
    assert not refused.succeeded
    assert any("cannot be deleted\nbecause it is protected" in error for error in refused.errors)

    emptied = project.run("destroy", exclude_protected=True)
    assert emptied.succeeded, emptied.printed
    assert {step.operation for step in emptied.changes} == {"delete"}
    assert protected < {resource["urn"] for resource in project.state()["resources"]}
    assert data.items() <= project.cluster.objects.items()

    project.configure(lambda config: config["churn:state"].update(protect=False))
    assert project.run("up").succeeded
    gone = project.run("destroy")
    assert gone.succeeded, gone.printed
    assert project.cluster.objects == {}
    assert project.state().get("resources", []) == []
