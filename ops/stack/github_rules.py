"""What GitHub must be told, so that the right to push to a branch is not the right to deploy.

Trust in AWS goes to subjects such as ``environment:prod``. GitHub puts that subject into the token of any job that
names the environment, on any branch that the environment admits, and in any workflow that the branch has. So the
environments admit the main branch alone, prod waits for reviewers who did not start it, and the main branch takes only
reviewed changes (GitHub docs, "Managing environments for deployment" and "REST API endpoints for rules").
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any, Final

from infra.naming import ENVIRONMENTS

REVIEWED: Final = "prod"
REVIEWERS: Final = ("REVIEWER_ID",)
"""Stands for the ids of people or teams, which GitHub alone knows: `gh api users/NAME --jq .id`."""
CHECKS: Final = ("check (3.11)", "check (3.13)", "demo")
"""The jobs of `.github/workflows/ci.yml`, as GitHub names their results."""


def ruleset() -> dict[str, Any]:
    """Return the rules of the main branch: reviewed and tested changes only, and no exception for anybody."""
    review = {
        "required_approving_review_count": 1,
        "dismiss_stale_reviews_on_push": True,
        "require_code_owner_review": False,
        "require_last_push_approval": True,
        "required_review_thread_resolution": False,
    }
    checks = {
        "strict_required_status_checks_policy": True,
        "required_status_checks": [{"context": name} for name in CHECKS],
    }
    return {
        "name": "main",
        "target": "branch",
        "enforcement": "active",
        "bypass_actors": [],
        "conditions": {"ref_name": {"include": ["refs/heads/main"], "exclude": []}},
        "rules": [
            {"type": "deletion"},
            {"type": "non_fast_forward"},
            {"type": "pull_request", "parameters": review},
            {"type": "required_status_checks", "parameters": checks},
        ],
    }


def environment(name: str, reviewers: Sequence[str] = REVIEWERS) -> dict[str, Any]:
    """Return the rules of an environment."""
    rules: dict[str, Any] = {"deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True}}
    if name == REVIEWED:
        people = [{"type": "User", "id": reviewer} for reviewer in reviewers]
        rules |= {"prevent_self_review": True, "reviewers": people}
    return rules


def branch_policy() -> dict[str, Any]:
    """Return the only branch that an environment admits."""
    return {"name": "main", "type": "branch"}


def commands(repository: str) -> list[str]:
    """Return the commands that tell GitHub all of this, for a person who administers the repository."""
    calls: list[tuple[str, str, dict[str, Any]]] = [("POST", "rulesets", ruleset())]
    for name in ENVIRONMENTS:
        calls.append(("PUT", f"environments/{name}", environment(name)))
        calls.append(("POST", f"environments/{name}/deployment-branch-policies", branch_policy()))
    return [
        f"echo {shlex.quote(json.dumps(body))} | gh api --method {method} repos/{repository}/{path} --input -"
        for method, path, body in calls
    ]
