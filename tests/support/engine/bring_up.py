"""What a stack lacks when it comes up from nothing, data and a model; and the documents' commands for that.

Nothing runs in a cluster in memory, so nobody waits there: whatever would have to wait for something that is not there
fails at once, as if its time were up.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.engine.cluster import Key, Manifest, MemoryCluster
from support.engine.operations import Outcome
from support.engine.project import Project
from support.engine.provider import ProviderError
from support.paths import ROOT

PLATFORM, AWS = ROOT / "docs" / "platform.md", ROOT / "docs" / "aws.md"
POD_MAKERS = frozenset({"DaemonSet", "Deployment", "Job", "StatefulSet"})
NOT_READY = "timed out waiting to be Ready: no version of the model is in production"
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OUTPUT = re.compile(r"\$\(pulumi stack output -s \w+ (\w+)\)")


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
        kind, labels = manifest["kind"], manifest["metadata"].get("labels", {})
        workload = labels.get("app.kubernetes.io/name")
        if kind in POD_MAKERS and self.images is not None:
            self._pull(kind, manifest)
        if kind in {"Deployment", "Service"} and workload == "api" and not self.production:
            raise ProviderError(f"{kind} api {NOT_READY}")
        if kind == "Job" and workload == "training":
            self._train(manifest["spec"]["template"]["spec"]["containers"][0]["args"])
        return super().create(manifest)

    def _pull(self, kind: str, manifest: Manifest) -> None:
        """Refuse an object whose pods can't pull an image of the project's own; public ones can be pulled by all."""
        spec = manifest["spec"]["template"]["spec"]
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            tagged = container["image"].partition("@")[0]
            if ".dkr.ecr." in tagged and tagged not in (self.images or ()):
                raise ProviderError(f"{kind} {manifest['metadata']['name']}: Back-off pulling image {tagged}")

    def start(self, schedule: str, namespace: str, name: str) -> None:
        """Run a job from a schedule, as `kubectl create job --from` does."""
        cron = self.objects[Key("CronJob", namespace, schedule)]
        template = cron["spec"]["jobTemplate"]
        metadata = {"name": name, "namespace": namespace, "labels": cron["metadata"]["labels"]}
        self.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]})

    def promote(self) -> None:
        """Promote what is staged, as a person does who has looked at it."""
        assert self.staged, "nothing is staged that could be promoted"
        self.production = True

    def _train(self, arguments: list[str]) -> None:
        if Key("Deployment", "churn-mlops", "mlflow") not in self.objects:
            raise ProviderError("Job training failed: MLflow does not answer")
        if "--data" in arguments:
            source = arguments[arguments.index("--data") + 1]
            if source not in self.files:
                raise ProviderError(f"Job training failed: {source} does not exist")
        self.staged = True
        self.production |= "--first" in arguments


def commands(document: Path, heading: str) -> list[list[str]]:
    """The commands below a heading of a document, one list for each of its blocks; there must be some."""
    _, _, rest = document.read_text("utf-8").partition(f" {heading}\n")
    section = re.split(r"^##", rest, maxsplit=1, flags=re.MULTILINE)[0]
    whole = (block.replace("\\\n", " ") for block in _BLOCK.findall(section))
    blocks = [[line for line in block.splitlines() if line.strip()] for block in whole]
    assert blocks, f"{document.name} has no commands for {heading!r}"
    return blocks


def of_dev() -> list[str]:
    """The commands with which docs/platform.md brings dev up by hand."""
    (block,) = (block for block in commands(PLATFORM, "Deploy dev") if "pulumi stack init dev" in block)
    return block


@dataclass
class Desk:
    """A desk at which somebody types a document's commands; ``other`` does those that are none of Pulumi's."""

    project: Project[Any]
    other: Callable[[list[str]], None]

    def type(self, line: str) -> Outcome | None:
        """Do one line; return how an operation of Pulumi went, which must succeed."""
        line = _OUTPUT.sub(lambda match: self.project.cli("stack", "output", match[1]).strip(), line)
        words = shlex.split(line, comments=True)
        match words:
            case ["pulumi", "stack", "init", *_]:
                self.project.cli("stack", "init")  # with the passphrase of the tests
            case ["pulumi", "stack", "output", *_]:
                self.project.cli("stack", "output")
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
