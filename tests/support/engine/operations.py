"""One operation of the Pulumi engine in a process of its own, with the program inside it (an inline program).

The process leads a process group that holds the engine too. Killing the group ends both at once, as a crash of the
machine would, and no runtime state of Pulumi leaks from one operation, or from recorded stacks, into another.
"""

from __future__ import annotations

import datetime as dt
import os
import runpy
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from pulumi import automation as auto
from pulumi.automation._stack import StackInitMode
from pulumi.automation.events import EngineEvent

Operation = Literal["preview", "up", "destroy"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to run, and where."""

    operation: Operation
    stack: str
    folder: Path
    """The project: Pulumi.yaml, the stacks' files, and the program's packages."""
    command: auto.PulumiCommand
    environment: Mapping[str, str]
    log: Path
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that the engine does (in a preview: would do) to one resource."""

    operation: str
    urn: str

    @property
    def name(self) -> str:
        return self.urn.split("::")[3]


@dataclass(kw_only=True)
class Outcome:
    """How an operation went."""

    succeeded: bool = False
    finished: bool = True
    """False where its process was killed."""
    steps: list[Step] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    """What the engine tells the user as an error, one text for each."""
    failure: str = ""
    """What the command that failed said."""
    printed: str = ""
    """Everything on standard output and standard error, of the engine and of the program."""

    @property
    def changes(self) -> list[Step]:
        return [step for step in self.steps if step.operation not in {"same", "read", "refresh"}]


class _Stack(auto.Stack):
    """Without asking for outputs and history after an operation: four more commands, whose answers no test reads."""

    def outputs(self) -> auto.OutputMap:
        return {}

    def info(self, show_secrets: bool | None = None) -> auto.UpdateSummary:  # noqa: ARG002, FBT001 -- the base class's
        return auto.UpdateSummary("", dt.datetime.now(dt.UTC), "", {}, {}, "")


def perform(request: Request, answer: Connection) -> None:
    """Entry point of the process: run the operation and send its ``Outcome``."""
    os.setsid()
    os.environ.clear()
    os.environ.update(request.environment)
    with request.log.open("ab") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    outcome = Outcome()
    try:
        _run(request, outcome)
        outcome.succeeded = True
    except auto.CommandError as error:
        # The engine refused or failed. An operation has printed why; the choice of the stack before it prints nothing.
        outcome.failure = str(error)
    except Exception:  # noqa: BLE001 -- whatever it is, the test shall see it
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    answer.send(outcome)


def _run(request: Request, outcome: Outcome) -> None:
    def program() -> None:
        # As Pulumi's Python host does for `main: infra`: that folder comes first on the import path. The packages
        # themselves are found in the project, where a user's editable install would point.
        sys.path.insert(0, str(request.folder))
        runpy.run_path(str(request.folder / "infra"), run_name="__main__")

    def note(event: EngineEvent) -> None:
        if event.resource_pre_event:
            metadata = event.resource_pre_event.metadata
            outcome.steps.append(Step(operation=metadata.op.value, urn=metadata.urn))
        if event.diagnostic_event and event.diagnostic_event.severity == "error":
            outcome.errors.append(event.diagnostic_event.message.strip())

    workspace = auto.LocalWorkspace(work_dir=str(request.folder), program=program, pulumi_command=request.command)
    stack = _Stack(request.stack, workspace, StackInitMode.CREATE_OR_SELECT)
    run = getattr(stack, request.operation)
    run(on_event=note, on_output=print, on_error=print, color="never", **request.options)
