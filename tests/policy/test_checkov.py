"""checkov's Kubernetes rules over all objects of every stack: `exemptions.yaml` explains every finding."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.findings import SOFT, Finding, exemptions, of_the_stacks, render, scan, stale, unexplained
from support.recorder import STACKS
from support.tools import venv_tool

pytestmark = pytest.mark.timeout(1200)  # the first run of a machine installs the tool
TOOL = "checkov"


def findings_of(report: dict[str, Any], stack: str) -> list[Finding]:
    """Each failed check, once for each object."""
    assert report["summary"]["parsing_errors"] == 0
    return sorted(
        {
            # Kind.namespace.name, followed by labels for a pod of a template.
            Finding(
                rule=check["check_id"],
                object=check["resource"].replace(".", "/", 2),
                stack=stack,
                text=check["check_name"],
            )
            for check in report["results"]["failed_checks"]
        }
    )


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    """All findings of all stacks, with those of the soft sample."""
    command = [*venv_tool(TOOL, "checkov.main"), "--framework", "kubernetes", "--skip-download", "--quiet", "--compact"]
    folder = tmp_path_factory.mktemp(TOOL)
    files = [render(stack, folder) for stack in STACKS]

    def of(path: Path) -> list[Finding]:
        # A configuration file in the home or the current folder could switch rules off.
        environment = {"HOME": str(folder), "CHECKOV_CONFIG_FILE": str(folder / "none")}
        return findings_of(scan([*command, "-o", "json", "-f", str(path)], environment=environment), path.stem)

    with ThreadPoolExecutor() as threads:  # each scan is a process of its own
        return [finding for findings in threads.map(of, files) for finding in findings]


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
        "CKV_K8S_8",  # no liveness probe
        "CKV_K8S_11",  # no CPU limit
        "CKV_K8S_14",  # no fixed image tag
        "CKV_K8S_20",  # privilege escalation
        "CKV_K8S_22",  # a writable root
        "CKV_K8S_23",  # root
        "CKV_K8S_31",  # no seccomp profile
        "CKV_K8S_38",  # a service account's token
    }
