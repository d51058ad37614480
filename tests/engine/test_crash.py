"""The engine is killed while it creates resources; the documented recovery brings the stack to the same end.

`pulumi cancel` removes the dead engine's lock. The object that it was creating may exist without the state knowing:
`pulumi stack export` lists it under `pending_operations`, `kubectl delete` removes it (nothing depends on it yet, and
volumes of a StatefulSet outlive it) and `pulumi refresh --clear-pending-creates` forgets it. Then `pulumi up` goes on.
"""

from __future__ import annotations

import random

import pytest
from support.engine.cluster import Key
from support.engine.project import Project
from support.engine.provider import ProviderError, Stage

pytestmark = [pytest.mark.service, pytest.mark.timeout(300, func_only=True)]

CRASHES = 2


def crash(project: Project, creates: int, stage: Stage) -> None:
    """Run `up` and kill it at the nth creation from now on, before or after the object exists."""
    last = project.journal.count("create") + creates

    def strike(count: int, now: Stage) -> None:
        if (count, now) == (last, stage):
            project.kill()
            if stage == "asked":
                raise ProviderError("the provider dies with the engine")

    project.journal.on_create = strike
    outcome = project.run("up", checkpoints=True)
    project.journal.on_create = lambda _count, _stage: None
    assert not outcome.finished, f"there was no creation number {last}"


def recover(project: Project) -> None:
    """Do what the documentation tells a person to do after a crash."""
    locked = project.run("up")
    assert "`pulumi cancel`" in locked.printed, locked
    project.cli("cancel", "--yes")
    for operation in project.state().get("pending_operations", []):
        assert operation["type"] == "creating"
        if operation["resource"]["type"].startswith("kubernetes:"):
            project.cluster.delete(operation["resource"]["inputs"])  # kubectl delete
    project.cli("refresh", "--yes", "--skip-preview", "--clear-pending-creates")


def test_up_converges_after_crashes_and_destroy_leaves_nothing(project: Project) -> None:
    moments = random.Random(20261123)  # noqa: S311 -- seeded, so that the test can be repeated
    stages: list[Stage] = ["asked", "made"]
    for _ in range(CRASHES):
        crash(project, moments.randint(1, 50), moments.choice(stages))
        recover(project)
    assert project.run("up").succeeded

    # Crash also in the middle of a replacement: the new object exists, and the old one is still in use.
    rules = project.folder / "infra" / "rules" / "api.yaml"
    rules.write_text(rules.read_text().replace("No pod of", "Not one pod of"))
    crash(project, 1, "made")
    recover(project)

    done = project.run("up")
    assert done.succeeded, done.printed
    assert project.run("preview", expect_no_changes=True).succeeded
    state = project.state()
    assert "pending_operations" not in state
    known = [Key.of(item["inputs"]) for item in state["resources"] if item["type"].startswith("kubernetes:")]
    assert sorted(known) == sorted(project.cluster.objects)  # no orphan, no loss, no duplicate

    gone = project.run("destroy")
    assert gone.succeeded, gone.printed
    assert project.cluster.objects == {}
