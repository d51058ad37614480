"""The GitHub workflows, by the names of their files."""

from __future__ import annotations

from functools import cache
from typing import Any

import yaml
from support.paths import ROOT


@cache
def workflow(name: str) -> dict[str, Any]:
    """A whole workflow."""
    document: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text("utf-8"))
    return document


def steps(name: str) -> list[tuple[str, dict[str, Any]]]:
    """All steps, each with its job."""
    return [(job, step) for job, content in workflow(name)["jobs"].items() for step in content["steps"]]


def script(name: str, title: str) -> str:
    """The shell script of one step."""
    (run_script,) = (step["run"] for _, step in steps(name) if step.get("name") == title)
    return str(run_script)
