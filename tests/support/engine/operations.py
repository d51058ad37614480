"""One operation of the Pulumi engine in a separate process, with the program inside it (an inline program).

The process leads a process group that contains the engine too. Killing the group ends both at once, as a crash of the
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
    """A step that the engine takes (in a preview: would take) on one resource."""

    operation: str
    urn: str

    @property
    def name(self) -> str:
        """The resource's logical name."""
        return self.urn.split("::")[3]


@dataclass(kw_only=True)
class Outcome:
    """How an operation went."""

    succeeded: bool = False
    finished: bool = True
    """False if its process was killed."""
    steps: list[Step] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    """The errors that the engine reports to the user."""
    failure: str = ""
    """The output of the command that failed."""
    printed: str = ""
    """Standard output and standard error of the engine and of the program."""

    @property
    def changes(self) -> list[Step]:
        """The steps that change something."""
        return [step for step in self.steps if step.operation not in {"same", "read", "refresh"}]


class _Stack(auto.Stack):
    """A stack that asks for no outputs and history after an operation: four commands, whose answers no test reads."""

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
        # The engine refused or failed. An operation has printed why; selecting the stack before it prints nothing.
        outcome.failure = str(error)
    except Exception:  # noqa: BLE001 -- whatever it is, the test must see it
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    answer.send(outcome)


def _run(request: Request, outcome: Outcome) -> None:
    def program() -> None:
        # Pulumi's Python host puts the folder of `main: infra` first on the import path. The packages themselves are
        # imported from the project, as with a user's editable install.
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
