"""A cluster in which a new stack lacks data and a model, and the documents' commands that provide them.

Nothing runs in a cluster in memory, so nobody waits there: whatever would have to wait for something that is not there
fails at once, as if its time were up.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.engine.cluster import NAME_LABEL, Key, Manifest, MemoryCluster
from support.engine.operations import Outcome
from support.engine.project import Project
from support.engine.provider import ProviderError, UnreadyError
from support.paths import ROOT
from support.procedures import blocks

PLATFORM, AWS = ROOT / "docs" / "platform.md", ROOT / "docs" / "aws.md"
POD_MAKERS = frozenset({"DaemonSet", "Deployment", "Job", "StatefulSet"})
NOT_READY = "timed out waiting to be Ready: no version of the model is in production"
_OUTPUT = re.compile(r"\$\(pulumi stack output -s (\w+) (\w+)\)")


class ModelCluster(MemoryCluster):
    """A cluster whose trainings need their data and stage a version, and whose API needs a version in production."""

    def __init__(self, *, production: bool = False) -> None:
        super().__init__()
        self.files: set[str] = set()
        """Addresses of the data that people have uploaded."""
        self.staged = self.production = production
        self.images: set[str] | None = None
        """The images that its nodes can pull, by tag; None where every image is loaded by hand."""

    def create(self, manifest: Manifest) -> Manifest:
        if manifest["kind"] in POD_MAKERS and self.images is not None:
            self._pull(manifest["kind"], manifest)
        return super().create(manifest)

    def _end(self, job: Manifest) -> None:
        super()._end(job)
        if _workload(job) == "training":
            reason = self._train(job["spec"]["template"]["spec"]["containers"][0]["args"])
            if reason:
                job["status"] = {"conditions": [{"type": "Failed", "status": "True", "message": reason}]}

    def _ready(self, key: Key) -> Manifest:
        stored = super()._ready(key)
        if key.kind in {"Deployment", "Service"} and _workload(stored) == "api" and not self.production:
            raise UnreadyError(f"{key.kind} api {NOT_READY}", stored)
        return stored

    def _pull(self, kind: str, manifest: Manifest) -> None:
        """Refuse an object whose pods can't pull an image of the project's own; public ones can be pulled by all."""
        spec = manifest["spec"]["template"]["spec"]
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            tagged = container["image"].partition("@")[0]
            if ".dkr.ecr." in tagged and tagged not in (self.images or ()):
                raise ProviderError(f"{kind} {manifest['metadata']['name']}: Back-off pulling image {tagged}")

    def start(self, schedule: str, namespace: str, name: str) -> None:
        """Create a job from a schedule, as `kubectl create job --from` does, which does not wait for its end."""
        cron = self.objects[Key("CronJob", namespace, schedule)]
        template = cron["spec"]["jobTemplate"]
        metadata = {"name": name, "namespace": namespace, "labels": cron["metadata"]["labels"]}
        with contextlib.suppress(UnreadyError):
            self.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]})

    def promote(self) -> None:
        """Promote what is staged, as a person does who has looked at it."""
        assert self.staged, "nothing is staged that could be promoted"
        self.production = True

    def _train(self, arguments: list[str]) -> str:
        """Stage a version; returns what the training lacks, if it lacks anything."""
        if Key("Deployment", "churn-mlops", "mlflow") not in self.objects:
            return "MLflow does not answer"
        if "--data" in arguments:
            source = arguments[arguments.index("--data") + 1]
            if source not in self.files:
                return f"{source} does not exist"
        self.staged = True
        self.production |= "--first" in arguments
        return ""


def _workload(manifest: Manifest) -> str | None:
    name: str | None = manifest["metadata"].get("labels", {}).get(NAME_LABEL)
    return name


def commands(document: Path, heading: str) -> list[list[str]]:
    """The commands below a heading of a document, one list for each of its blocks; there must be some."""
    whole = (block.replace("\\\n", " ") for block in blocks(document, heading))
    return [[line for line in block.splitlines() if line.strip()] for block in whole]


def dev_commands() -> list[str]:
    """The commands with which docs/platform.md brings dev up by hand."""
    (block,) = (block for block in commands(PLATFORM, "Deploy dev") if "pulumi stack init dev" in block)
    return block


@dataclass
class Typist:
    """Somebody who types a document's commands; ``other`` does those that are none of Pulumi's."""

    project: Project[Any]
    other: Callable[[list[str]], None]

    def type(self, line: str) -> Outcome | None:
        """Do one line; return how an operation of Pulumi went, which must succeed."""
        line = _OUTPUT.sub(lambda match: self._output(match[1], match[2]), line)
        words = shlex.split(line, comments=True)
        match words:
            case ["pulumi", "stack", "init", stack, *_]:
                assert stack == self.project.stack
                self.project.cli("stack", "init")  # with the passphrase of the tests
            case ["pulumi", "stack", "output", "-s", stack, *names]:
                self._output(stack, *names)
            case ["pulumi", "config", "set", *setting, "-s", stack]:
                assert stack == self.project.stack
                self.project.cli("config", "set", *setting)
            case ["pulumi", "preview" | "up" | "destroy" as operation, *options]:
                outcome = self.project.run(operation, **_options(options, self.project.stack))
                assert outcome.succeeded, f"{line}: {outcome.errors} {outcome.failure}\n{outcome.printed[-3000:]}"
                return outcome
            case _:
                self.other(words)
        return None

    def _output(self, stack: str, *names: str) -> str:
        assert stack == self.project.stack
        return self.project.cli("stack", "output", *names).strip()


def _options(words: list[str], stack: str) -> dict[str, Any]:
    """Options of the command line as the Automation API takes them."""
    options: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "-s":
            assert rest.pop(0) == stack
        elif word == "--exclude":
            options.setdefault("exclude", []).append(rest.pop(0))
        else:
            assert word == "--exclude-dependents", f"the tests do not know the option {word}"
            options["exclude_dependents"] = True
    return options
