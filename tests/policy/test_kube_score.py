"""kube-score over all objects of every stack: `exemptions.yaml` explains every finding."""

from __future__ import annotations

from typing import Any

import pytest
from support.findings import SOFT, Exemption, Finding, exemptions, of_the_stacks, render, scan, stale, unexplained
from support.recorder import STACKS
from support.tools import go_tool

pytestmark = pytest.mark.timeout(1200)  # the first run of a machine builds the tool
TOOL = "kube-score"
VERSION = "v1.33"  # the oldest supported version: features that it lacks must not be recommended
OPTIONAL = ("container-ports-check", "container-seccomp-profile")
PERFECT = 10


def findings_of(objects: list[dict[str, Any]], stack: str) -> list[Finding]:
    """Everything below the best grade, one finding for each rule and object."""
    return [
        Finding(
            rule=check["check"]["id"],
            object="/".join(
                (item["type_meta"]["kind"], item["object_meta"].get("namespace", ""), item["object_meta"]["name"])
            ),
            stack=stack,
            text="; ".join(f"{c['path']} {c['summary']}".strip() for c in check["comments"] or ()),
        )
        for item in objects
        for check in item["checks"]
        if not check["skipped"] and check["grade"] < PERFECT
    ]


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    """All findings of all stacks, with those of the soft sample."""
    program = go_tool(TOOL)
    folder = tmp_path_factory.mktemp(TOOL)
    all_findings: list[Finding] = []
    for stack in STACKS:
        optional = [argument for name in OPTIONAL for argument in ("--enable-optional-test", name)]
        # Exemptions are in our file, each with its reason, and not in annotations.
        command = [str(program), "score", "--kubernetes-version", VERSION, "--disable-ignore-checks-annotations"]
        all_findings += findings_of(scan([*command, *optional, "-o", "json", str(render(stack, folder))]), stack)
    return all_findings


def test_nothing_unexplained_is_found(findings: list[Finding]) -> None:
    problems = unexplained(of_the_stacks(findings), exemptions(TOOL))
    assert not problems, "\n".join(problems)


def test_every_exemption_is_needed(findings: list[Finding]) -> None:
    problems = stale(of_the_stacks(findings), exemptions(TOOL))
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("stack", STACKS)
def test_a_soft_pod_is_found(findings: list[Finding], stack: str) -> None:
    rules = {finding.rule for finding in findings if finding.stack == stack and f"/{SOFT}/" in finding.object}
    assert rules >= {
        "container-resources",
        "container-image-tag",
        "container-ephemeral-storage-request-and-limit",
        "container-security-context-user-group-id",
        "container-security-context-readonlyrootfilesystem",
        "container-seccomp-profile",
        "deployment-replicas",
        "pod-networkpolicy",
        "pod-probes",
    }


def test_findings_are_held_against_the_exemptions() -> None:
    reason = "a sample's reason, long enough"
    api = Finding(rule="probes", object="Deployment/serving/api", stack="dev")
    entry = Exemption(tool=TOOL, rule="probes", objects=("Deployment/serving/*",), reason=reason)
    assert unexplained([api], [entry]) == []
    assert stale([api], [entry]) == []
    for other in (
        Finding(rule="limits", object=api.object, stack="dev"),
        Finding(rule="probes", object="Deployment/other/api", stack="dev"),
    ):
        assert unexplained([other], [entry]) == [str(other)]
        assert stale([other], [entry]) == ["kube-score probes: nothing is Deployment/serving/*"]
    in_prod = entry.model_copy(update={"stacks": ("prod",)})
    assert unexplained([api], [in_prod]) == [str(api)]
    both = Exemption(tool=TOOL, rule="probes", objects=("*/api",), stacks=("dev", "prod"), reason=reason)
    assert stale([api], [both]) == ["kube-score probes: nothing in prod"]
