"""Findings of scanners in the rendered objects, and the exemptions that explain some of them."""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field
from support.recorder import STACKS, recorded

EXEMPTIONS = Path(__file__).parents[1] / "policy" / "exemptions.yaml"
SOFT = "soft-sample"
"""Namespace of the sample that is part of every scan: a pod without any hardening."""


@dataclass(frozen=True, order=True, kw_only=True)
class Finding:
    """One rule that one object breaks."""

    rule: str
    object: str
    stack: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.stack}: {self.rule} {self.object}: {self.text}"


class Exemption(BaseModel):
    """Findings that are by design. Objects are patterns of kind/namespace/name; without stacks it is for all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: str
    rule: str
    objects: tuple[str, ...] = Field(min_length=1)
    stacks: tuple[str, ...] = STACKS
    reason: str = Field(min_length=20)

    def explains(self, finding: Finding, pattern: str) -> bool:
        """Whether a pattern of this exemption fits a finding."""
        return (
            finding.rule == self.rule and finding.stack in self.stacks and fnmatch.fnmatchcase(finding.object, pattern)
        )


@cache
def exemptions(tool: str) -> tuple[Exemption, ...]:
    """The exemptions for one tool."""
    entries = [Exemption.model_validate(entry) for entry in yaml.safe_load(EXEMPTIONS.read_text(encoding="utf-8"))]
    assert {entry.tool for entry in entries} <= {"kube-score", "checkov", "parliament"}
    return tuple(entry for entry in entries if entry.tool == tool)


def unexplained(findings: Iterable[Finding], known: Sequence[Exemption]) -> list[str]:
    """Findings that no exemption fits."""
    return sorted(
        str(finding)
        for finding in findings
        if not any(entry.explains(finding, pattern) for entry in known for pattern in entry.objects)
    )


def stale(findings: Sequence[Finding], known: Sequence[Exemption]) -> list[str]:
    """Patterns and stacks of exemptions that fit no finding."""
    unused = [
        f"{entry.tool} {entry.rule}: nothing is {pattern}"
        for entry in known
        for pattern in entry.objects
        if not any(entry.explains(finding, pattern) for finding in findings)
    ]
    idle = [
        f"{entry.tool} {entry.rule}: nothing in {stack}"
        for entry in known
        if "stacks" in entry.model_fields_set
        for stack in entry.stacks
        if not any(f.stack == stack and entry.explains(f, pattern) for f in findings for pattern in entry.objects)
    ]
    return unused + idle


def render(stack: str, folder: Path) -> Path:
    """Write every object of a stack, masked as by `churn render`, and the soft sample to one file."""
    path = folder / f"{stack}.yaml"
    objects = [*recorded(stack).manifests(masked=True), *soft_sample()]
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    path.write_text(yaml.dump_all(objects, Dumper=dumper, sort_keys=False), encoding="utf-8")
    return path


def of_the_stacks(findings: Iterable[Finding]) -> list[Finding]:
    """The findings outside of the sample, which is scanned beside each stack."""
    return [finding for finding in findings if f"/{SOFT}/" not in finding.object]


def soft_sample() -> list[dict[str, Any]]:
    """A Deployment and its Service in which any scanner must find much."""
    labels = {"app": "soft"}
    metadata = {"name": "soft", "namespace": SOFT}
    containers = [{"name": "soft", "image": "soft:latest", "ports": [{"containerPort": 8080}]}]
    pod = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    ]


def scan(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Any:
    """The JSON that a scanner prints, whatever its exit code.

    It gets none of the tester's settings, and a proxy where nobody listens: it has to work without the network.
    """
    closed = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    variables = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"} | closed | dict(environment or {})
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        pytest.fail(f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr[-2000:]}")
