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


def _expanded(step: dict[str, Any]) -> list[dict[str, Any]]:
    """A step, or those of the action of this repository that it uses."""
    action = step.get("uses", "")
    if not action.startswith("./"):
        return [step]
    document = yaml.safe_load((ROOT / action / "action.yml").read_text("utf-8"))
    own: list[dict[str, Any]] = document["runs"]["steps"]
    return own


def steps(name: str) -> list[tuple[str, dict[str, Any]]]:
    """All steps, each with its job; those of this repository's own actions are in the place of their use."""
    return [
        (job, part) for job, content in workflow(name)["jobs"].items() for step in content["steps"]
        for part in _expanded(step)
    ]  # fmt: skip


def script(name: str, title: str) -> str:
    """The shell script of one step."""
    (run_script,) = (step["run"] for _, step in steps(name) if step.get("name") == title)
    return str(run_script)
