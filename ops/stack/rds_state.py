"""Tells Pulumi's state that another instance is the stack's database now.

The state knows the database by the resource id that RDS gave it, which stays with an instance when it is renamed
(hashicorp/terraform-provider-aws, upgrade guide to version 5: `aws_db_instance.id`). After a switch the state would
therefore follow the replaced instance: a refresh would find its new name, and the next update change that of the wrong
database, or replace it.

The id is changed in an exported state, which is then imported. `pulumi state delete` with `pulumi import` would do the
same for a resource that nothing depends on, but the state's secrets and jobs depend on the database, and what others
depend on can be deleted only together with them.
"""

# ruff: noqa: S603, S607 - the command is `pulumi`, found on PATH, as the user would run it
from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ops.errors import OpsError

INSTANCE: Final = "aws:rds/instance:Instance"
SECONDS: Final = 600
Run = Callable[[list[str], str], str]
"""Runs `pulumi` with these arguments and this standard input; returns its standard output."""


def adopt(run: Run, stack: str, name: str, resource_id: str) -> bool:
    """Make the instance with this resource id the one that the state has under ``name``; returns whether it was not.

    Raises:
        OpsError: the state has no such database, or an update of the stack did not end.
    """
    exported: dict[str, Any] = json.loads(run(["stack", "export", "--stack", stack], ""))
    deployment = exported["deployment"]
    if deployment.get("pending_operations"):
        raise OpsError(f"the last update of {stack} did not end: run `pulumi refresh --stack {stack}` first")
    databases = [
        item
        for item in deployment.get("resources", [])
        if item["type"] == INSTANCE and item["inputs"].get("identifier") == name and not item.get("delete")
    ]
    if len(databases) != 1:
        raise OpsError(f"the state of {stack} has {len(databases)} databases with the name {name}: there must be one")
    (database,) = databases
    if database["id"] == resource_id:
        return False
    database["id"] = resource_id
    database["outputs"] |= {"id": resource_id, "resourceId": resource_id}
    run(["stack", "import", "--stack", stack], json.dumps(exported))
    return True


def pulumi(root: Path) -> Run:
    """Return a way to run `pulumi` on the stacks of a checkout, with the credentials of the environment."""

    def run(words: list[str], given_input: str) -> str:
        try:
            done = subprocess.run(
                ["pulumi", *words, "--non-interactive"],
                cwd=root,
                input=given_input,
                capture_output=True,
                text=True,
                check=False,
                timeout=SECONDS,
            )
        except FileNotFoundError:
            raise OpsError("pulumi is not installed, or not on PATH") from None
        except subprocess.TimeoutExpired:
            raise OpsError(f"`pulumi {' '.join(words)}` did not end within {SECONDS} seconds") from None
        if done.returncode != 0:
            raise OpsError(f"`pulumi {' '.join(words)}` failed: {done.stderr.strip()}")
        return done.stdout

    return run
