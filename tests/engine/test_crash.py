"""The engine is killed while it creates resources; the documented recovery brings the stack to the same end.

`pulumi cancel` removes the dead engine's lock. An object that was being created may exist without the state knowing:
`ops.stack.unfinished` prints the command that removes it (nothing depends on it yet, and volumes of a StatefulSet
outlive it), and `pulumi refresh --clear-pending-creates` forgets it. Then `pulumi up` goes on. What was being updated
stays: see `test_lifecycle.py`.
"""

from __future__ import annotations

import random

import pytest
from support.engine.project import Project
from support.engine.provider import Stage
from support.engine.recovery import crash, recover, same_as_the_state

pytestmark = [
    pytest.mark.service,
    pytest.mark.timeout(300, func_only=True),
    pytest.mark.long(seconds=80, together=__name__),
]

CRASHES = 2


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
    assert len(recover(project)) == 1

    done = project.run("up")
    assert done.succeeded, done.printed
    assert project.run("preview", expect_no_changes=True).succeeded
    same_as_the_state(project)

    gone = project.run("destroy")
    assert gone.succeeded, gone.printed
    assert project.cluster.objects == {}
