"""A Kubernetes cluster through kubectl; objects are plain dictionaries on the way in and out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
MANAGER = "churn-tests"


@dataclass(frozen=True)
class Answer:
    """Whether a command succeeded, and what it printed; warnings and refusals are lines of ``err``."""

    ok: bool
    out: str
    err: str

    def items(self) -> list[Json]:
        """The objects that ``-o json`` printed, as a list or one after another."""
        decoder, rest, objects = json.JSONDecoder(), self.out.strip(), []
        while rest:
            item, end = decoder.raw_decode(rest)
            objects += item.get("items", [item])
            rest = rest[end:].lstrip()
        return objects


@dataclass(frozen=True)
class Kubectl:
    """The cluster that the current context of KUBECONFIG names."""

    program: str

    def attempt(self, *arguments: str, objects: Iterable[Json] = (), single: Json | None = None) -> Answer:
        """Run a command that may fail; ``objects``, or a ``single`` one, are its standard input."""
        text = json.dumps(single or {"apiVersion": "v1", "kind": "List", "items": list(objects)})
        done = subprocess.run([self.program, *arguments], input=text, capture_output=True, text=True, check=False)
        return Answer(ok=done.returncode == 0, out=done.stdout, err=done.stderr)

    def run(self, *arguments: str, objects: Iterable[Json] = ()) -> Answer:
        """Run a command that has to succeed."""
        answer = self.attempt(*arguments, objects=objects)
        assert answer.ok, f"kubectl {' '.join(arguments)}: {answer.err or answer.out}"
        return answer

    def get(self, *kinds: str, namespace: str | None = None) -> list[Json]:
        """All objects of some kinds, in one namespace or in all."""
        where = ["--namespace", namespace] if namespace else ["--all-namespaces"]
        return self.run("get", ",".join(kinds), *where, "--output", "json").items()

    def apply(self, objects: Sequence[Json], *options: str) -> Answer:
        """Apply objects on the server's side, as Pulumi does; an unknown field is refused."""
        strictly = ("--server-side", "--field-manager", MANAGER, "--validate=strict")
        return self.attempt("apply", *strictly, *options, "-f", "-", objects=objects)

    def would_create(self, objects: Iterable[Json]) -> Answer:
        """Create objects without storing them: defaults, admission and quota apply."""
        return self.attempt("create", "--dry-run=server", "--output", "json", "-f", "-", objects=objects)

    def delete(self, objects: Sequence[Json]) -> None:
        """Delete those of these objects that exist, and wait until they are gone."""
        if objects:
            self.run("delete", "--ignore-not-found", "--wait", "-f", "-", objects=objects)
