"""parliament over every IAM document of AWS stacks and bootstrap: `exemptions.yaml` explains every finding."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.aws_rules import documents, kind
from support.findings import Finding, exemptions, scan, stale, unexplained
from support.paths import TOOLS
from support.recorder import recorded
from support.tools import venv_tool
from support.who_can import PLACE, PROVIDER, REPOSITORY

from infra.naming import ENVIRONMENTS
from ops.stack import bootstrap, ci_roles

pytestmark = pytest.mark.timeout(600)  # the first run of a machine installs the tool
TOOL = "parliament"
STACKS = ("staging", "prod")
BOOTSTRAP = "bootstrap"
"""Takes the place of a stack's name for what is created before any stack."""
BAD = "bad-sample"
BAD_DOCUMENT: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {"Sid": "Typo", "Effect": "Allow", "Action": ["s3:GetObjet"], "Resource": ["arn:aws:s3:::bucket/*"]},
        {"Sid": "Bucket", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::bucket"]},
        {"Sid": "Star", "Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"], "Resource": ["*"]},
        {
            "Sid": "Condition",
            "Effect": "Allow",
            "Action": ["kms:Decrypt"],
            "Resource": ["arn:aws:kms:eu-central-1:000000000000:key/a"],
            "Condition": {"StringEquals": {"s3:prefix": "a"}},
        },
    ],
}
"""A misspelled action, a bucket instead of an object, every secret, and a condition that its action does not have."""


def whole(document: dict[str, Any], field: str) -> dict[str, Any]:
    """A document with a resource in each statement, as the linter demands; a trust policy cannot name its own role."""
    if field != "assumeRolePolicy":
        return document
    role = "arn:aws:iam::000000000000:role/own"
    return {**document, "Statement": [{**each, "Resource": [role]} for each in document["Statement"]]}


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    """All findings of both stacks and of the bootstrap, with those of the bad sample."""
    folder = tmp_path_factory.mktemp(TOOL)
    python, *_ = venv_tool(TOOL, TOOL)
    all_findings = []
    for stack in (*STACKS, BOOTSTRAP):
        known = of_bootstrap() if stack == BOOTSTRAP else of_stack(stack)
        path = folder / f"{stack}.json"
        path.write_text(json.dumps({**known, BAD: BAD_DOCUMENT}), encoding="utf-8")
        report = scan([python, str(TOOLS / TOOL / "lint.py"), str(path)], environment={"HOME": str(folder)})
        all_findings += [Finding(rule=row["rule"], object=row["name"], stack=stack, text=row["text"]) for row in report]
    return all_findings


def of_stack(stack: str) -> dict[str, Any]:
    """Every document of a stack; there must be dozens, so that an empty list is not taken for a good result."""
    by_name = {
        f"{kind(item)}/{field}/{item.name}": whole(content, field)
        for item, field, content in documents(recorded(stack))
    }
    assert len(by_name) > 30
    return by_name


def of_bootstrap() -> dict[str, Any]:
    """Who may assume each role of the workflows, what each role may do, and the bucket's policy."""
    field = "assumeRolePolicy"
    by_name = {f"Bucket/policy/{PLACE.bucket}": bootstrap.tls_only(PLACE.bucket)}
    for role in ci_roles.roles():
        trust = ci_roles.trust(PROVIDER, REPOSITORY, role)
        by_name[f"Role/{field}/bootstrap-{role.name}"] = whole(trust, field)
        rights = ci_roles.rights(role, PLACE)
        by_name[f"RolePolicy/policy/bootstrap-{role.name}"] = {"Version": "2012-10-17", "Statement": rights}
    for stack in ENVIRONMENTS:
        by_name[f"Policy/policy/bootstrap-boundary-{stack}"] = ci_roles.boundary(stack, PLACE)
    return by_name


def of_the_stacks(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.object != BAD]


def test_nothing_unexplained_is_found(findings: list[Finding]) -> None:
    problems = unexplained(of_the_stacks(findings), exemptions(TOOL))
    assert not problems, "\n".join(problems)


def test_every_exemption_is_needed(findings: list[Finding]) -> None:
    problems = stale(of_the_stacks(findings), exemptions(TOOL))
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("stack", [*STACKS, BOOTSTRAP])
def test_a_bad_document_is_found(findings: list[Finding], stack: str) -> None:
    rules = {finding.rule for finding in findings if finding.stack == stack and finding.object == BAD}
    assert rules >= {"UNKNOWN_ACTION", "RESOURCE_MISMATCH", "RESOURCE_STAR", "UNKNOWN_CONDITION_FOR_ACTION"}
