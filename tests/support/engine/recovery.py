"""Kills the engine in the middle of an operation, and follows the documented recovery word by word."""

from __future__ import annotations

import shlex
import subprocess
import sys

from support.engine.cluster import Key
from support.engine.project import Project
from support.engine.provider import Call, ProviderError, Stage
from support.paths import ROOT

BEFORE_THE_STEPS = "These four steps recover:\n\n```sh\n"
UNATTENDED = {"cancel": ["--yes"], "refresh": ["--yes", "--skip-preview"], "stack": []}
"""What each command of Pulumi needs where nobody answers its questions."""


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


def crash_updating(project: Project, name: str, stage: Stage) -> None:
    """Run `up` and kill it while it updates the resource of that logical name."""

    def strike(call: Call, now: Stage) -> None:
        if call.urn.endswith(f"::{name}") and now == stage:
            project.kill()
            if stage == "asked":
                raise ProviderError("the provider dies with the engine")

    project.journal.on_update = strike
    outcome = project.run("up", checkpoints=True)
    project.journal.on_update = lambda _call, _stage: None
    assert not outcome.finished, f"{name} was not updated"


def documented() -> list[list[list[str]]]:
    """The words of each step of docs/platform.md; a step is a command, or two with a pipe between them."""
    text = (ROOT / "docs" / "platform.md").read_text()
    assert BEFORE_THE_STEPS in text
    block = text.partition(BEFORE_THE_STEPS)[2].partition("```")[0]
    return [[shlex.split(part, comments=True) for part in line.split("|")] for line in block.splitlines()]


def recover(project: Project) -> list[str]:
    """Do what the documentation tells a person to do after a crash; returns the commands that it had to run."""
    locked = project.run("up")
    assert "`pulumi cancel`" in locked.printed, locked
    printed: list[str] = []
    *steps, last = documented()
    for step in steps:
        text = ""
        for words in step:
            text = run(project, words, text)
        printed += [line for line in text.splitlines() if line.startswith("kubectl ")]
        if len(step) > 1:
            for line in printed:
                delete(project, shlex.split(line))
    assert last == [["pulumi", "up", "-s", project.stack]]  # the caller runs the last step
    return printed


def run(project: Project, words: list[str], stdin: str) -> str:
    """Run one command of the documentation; returns what it prints."""
    if words[0] == "pulumi":
        place = words.index("-s")
        assert words[place + 1] == project.stack
        command = [*words[1:place], *words[place + 2 :]]
        return project.cli(*command, *UNATTENDED[command[0]])
    assert words[:2] == [".venv/bin/python", "-m"]
    command = [sys.executable, *words[1:]]
    done = subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, text=True, check=True)
    return done.stdout


def delete(project: Project, words: list[str]) -> None:
    """What `kubectl delete KIND[.GROUP] NAME [--namespace NAMESPACE] --ignore-not-found` does."""
    assert (words[:2], words[-1]) == (["kubectl", "delete"], "--ignore-not-found")
    (kind, _, group), name = words[2].partition("."), words[3]
    namespace = words[5] if words[4] == "--namespace" else ""
    for key, item in list(project.cluster.objects.items()):
        identity = (key.kind.lower(), item["apiVersion"].rpartition("/")[0], key.name, key.namespace)
        if identity == (kind, group, name, namespace):
            project.cluster.delete(item)


def same_as_the_state(project: Project) -> None:
    """No orphan, no loss and no duplicate, and no operation left open."""
    state = project.state()
    assert "pending_operations" not in state
    known = [Key.of(item["inputs"]) for item in state["resources"] if item["type"].startswith("kubernetes:")]
    assert sorted(known) == sorted(project.cluster.objects)
