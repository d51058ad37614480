"""Logs of pods reach groups of the stack with a retention and a key, and nothing else of the add-on is on."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from support.eks_recordings import managed
from support.paths import ROOT
from support.recorder import named, recorded

from infra.aws import pod_logs

STACKS = ("staging", "prod")
FEATURES = (
    "applicationSignals", "containerInsights", "dcgmExporter", "kubeStateMetrics", "neuronMonitor", "nodeExporter",
    "otelContainerInsights",
)  # fmt: skip
"""Switches of the chart besides `containerLogs` (aws-observability/helm-charts, `values.yaml` of version 6)."""


def configuration(stack: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(named(recorded(stack), "pod-logs-addon").inputs["configurationValues"])
    return values


@pytest.mark.parametrize("stack", STACKS)
def test_only_the_logs_of_containers_are_on(stack: str) -> None:
    values = configuration(stack)
    assert values.pop("containerLogs") == {"enabled": True}
    assert values.pop("manager")["applicationSignals"]["autoMonitor"]["monitorAllServices"] is False
    assert values == {feature: {"enabled": False} for feature in FEATURES}


@pytest.mark.parametrize("stack", STACKS)
def test_the_groups_exist_before_the_add_on_with_retention_and_key(stack: str) -> None:
    """Fluent Bit would create a group that is missing, without either (its `auto_create_group` is on)."""
    recording = recorded(stack)
    addon = named(recording, "pod-logs-addon")
    for kind in pod_logs.KINDS:
        group = named(recording, f"pod-logs-{kind}")
        assert group.inputs["name"] == f"/aws/containerinsights/churn-{stack}/{kind}"
        assert group.inputs["retentionInDays"] > 0
        assert group.inputs["kmsKeyId"] == named(recording, "keys-logs").outputs["arn"]
        assert group.urn in addon.depends_on


@pytest.mark.parametrize("stack", STACKS)
def test_the_collector_may_write_to_these_groups_and_create_none(stack: str) -> None:
    recording = recorded(stack)
    (statement,) = json.loads(named(recording, "pod-logs-identity-policy").inputs["policy"])["Statement"]
    assert set(statement["Action"]) == {"logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"}
    arns = {named(recording, f"pod-logs-{kind}").outputs["arn"] for kind in pod_logs.KINDS}
    assert {resource.removesuffix(":*") for resource in statement["Resource"]} == arns


def test_the_role_is_for_the_add_ons_own_account_by_either_kind_of_identity() -> None:
    recording = recorded("staging")
    role = named(recording, "pod-logs-identity-role")
    assert "system:serviceaccount:amazon-cloudwatch:cloudwatch-agent" in role.inputs["assumeRolePolicy"]
    assert named(recording, "pod-logs-addon").inputs["serviceAccountRoleArn"] == role.outputs["arn"]
    association = named(managed(), "pod-logs-identity-association")
    assert (association.inputs["namespace"], association.inputs["serviceAccount"]) == (
        pod_logs.NAMESPACE, pod_logs.ACCOUNT,
    )  # fmt: skip
    addon = named(managed(), "pod-logs-addon")
    assert "serviceAccountRoleArn" not in addon.inputs
    assert {association.urn, named(managed(), "pod-logs-identity").urn} & set(addon.depends_on)


@pytest.mark.parametrize("stack", STACKS)
def test_the_saved_queries_are_those_of_the_runbook(stack: str) -> None:
    text = (ROOT / "docs" / "runbooks" / "logs.md").read_text("utf-8")
    documented = re.findall(r"^```text\n(.*?)\n```$", text, flags=re.DOTALL | re.MULTILINE)
    saved = {
        item.inputs["name"]: item.inputs["queryString"]
        for item in recorded(stack).resources
        if item.type.endswith(":QueryDefinition")
    }
    assert set(saved) == {f"churn-{stack}/{name}" for name in pod_logs.QUERIES}
    assert sorted(saved.values()) == sorted(documented)
    for item in recorded(stack).resources:
        if item.type.endswith(":QueryDefinition"):
            assert item.inputs["logGroupNames"] == [f"/aws/containerinsights/churn-{stack}/application"]


def test_the_queries_read_fields_that_the_api_writes() -> None:
    """Fluent Bit's filter puts what it parses under `log_processed` (`Merge_Log_Key` in the add-on's configuration)."""
    written = set(re.findall(r'"(\w+)":', (ROOT / "app" / "logs.py").read_text("utf-8")))
    read = {field for query in pod_logs.QUERIES.values() for field in re.findall(r"log_processed\.(\w+)", query)}
    assert read <= written, read - written


def test_a_runbook_that_reads_logs_says_where_those_of_a_gone_pod_are() -> None:
    folder = ROOT / "docs" / "runbooks"
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md") if path.name != "logs.md"}
    reading = {name for name, text in texts.items() if re.search(r"kubectl.* logs", text)}
    assert len(reading) > 20
    assert {name for name in reading if "(logs.md)" not in texts[name]} == set()
