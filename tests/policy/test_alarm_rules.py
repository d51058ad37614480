"""Alarms on AWS' own figures measure what exists and reach people; each rule finds the violation in its sample."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support import alarm_rules as rules
from support.recorder import named, recorded, with_inputs

from infra.aws.alarm_table import unhealthy
from ops.stack.recording import Recording

Rule = Callable[[Recording], list[str]]
Change = Callable[[dict[str, Any]], Any]
STACKS = ("staging", "prod")
RULES: list[Rule] = [
    rules.documented,
    rules.own,
    rules.complete,
    rules.reaching,
    rules.explained,
    rules.closed_topic,
    rules.unreserved,
    rules.modifiable,
]


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds(rule: Rule, stack: str) -> None:
    assert rule(recorded(stack)) == []


def changed(name: str, change: Change) -> Recording:
    """Prod, which has all alarms, with the inputs of one resource changed."""
    recording = recorded("prod")
    return with_inputs(recording, named(recording, name), change)


def without(name: str) -> Recording:
    recording = recorded("prod")
    left = [item for item in recording.resources if item.name != name]
    assert len(left) == len(recording.resources) - 1
    return replace(recording, resources=left)


def updated(**values: Any) -> Change:
    return lambda inputs: inputs.update(values)


def principal(**values: Any) -> Change:
    """A change of the last statement of a policy."""

    def change(inputs: dict[str, Any]) -> None:
        document = json.loads(inputs["policy"])
        document["Statement"][-1].update(values)
        inputs["policy"] = json.dumps(document)

    return change


CPU = "watch-DatabaseCpuHigh"
BAD: list[tuple[Rule, tuple[str, Change], str]] = [
    (rules.documented, (CPU, updated(metricName="CpuUtilization")), "CpuUtilization"),
    (rules.documented, (CPU, updated(namespace="AWS/EC2")), "AWS/EC2"),
    (rules.documented, (CPU, updated(dimensions={"DBClusterIdentifier": "x"})), "DBClusterIdentifier"),
    (
        rules.documented,
        ("watch-edge-EdgeTargetsUnhealthy", updated(metricQueries=[{"expression": "SELECT 1"}])),
        "SELECT 1",
    ),
    (rules.own, (CPU, updated(dimensions={"DBInstanceIdentifier": "churn-staging"})), "churn-staging"),
    (
        rules.own,
        (
            "watch-edge-EdgeTargetsUnhealthy",
            updated(metricQueries=[{"expression": unhealthy("AWS/NetworkELB", "other-0123.elb.example.com")}]),
        ),
        "other-0123",
    ),
    (rules.own, ("watch-PodLogsSilent", updated(dimensions={"LogGroupName": "/other"})), "/other"),
    (rules.reaching, (CPU, updated(okActions=[])), "okActions"),
    (rules.reaching, ("watch-alarms-subscription", updated(endpoint="arn:other")), "calls"),
    (rules.reaching, ("watch-notify-database-permission", updated(sourceArn="arn:other")), "not allowed"),
    (rules.explained, (CPU, updated(alarmDescription="warning: slow\ndocs/runbooks/aws.md#nothing")), "nothing"),
    (rules.explained, (CPU, updated(alarmDescription="slow")), "slow"),
    (rules.closed_topic, ("watch-alarms-topic", updated(kmsMasterKeyId="alias/aws/sns")), "may not use its key"),
    (rules.closed_topic, ("keys-logs", principal(Action=["kms:Decrypt"])), "may not use its key"),
    (rules.closed_topic, ("watch-alarms-policy", principal(Principal="*")), "*"),
    (rules.closed_topic, ("watch-alarms-policy", principal(Condition={})), "sns:Publish"),
    (rules.unreserved, ("rotation-function", updated(reservedConcurrentExecutions=1)), "rotation-function"),
    (rules.unreserved, ("rotation-function", updated(reservedConcurrentExecutions=100)), "rotation-function"),
    (
        rules.modifiable,
        (
            "database-parameters",
            lambda i: i["parameters"].append({"name": "superuser_reserved_connections", "value": "6"}),
        ),
        "superuser_reserved_connections",
    ),
]


@pytest.mark.parametrize(
    ("rule", "sample", "expected"), BAD, ids=[f"{r.__name__}-{n}" for n, (r, _, _) in enumerate(BAD)]
)
def test_rule_finds_its_sample(rule: Rule, sample: tuple[str, Change], expected: str) -> None:
    violations = rule(changed(*sample))
    assert len(violations) == 1
    assert expected in violations[0]


@pytest.mark.parametrize(
    "name",
    ["watch-NatPortsExhausted-2", "watch-FunctionErrors-rotation", "watch-edge-EdgeTargetsUnhealthy"],
)
def test_what_nothing_watches_is_found(name: str) -> None:
    (violation,) = rules.complete(without(name))
    assert violation.startswith("nothing watches")


def test_a_copy_without_figures_is_found() -> None:
    def silent(inputs: dict[str, Any]) -> None:
        del inputs["rules"][0]["destination"]["metrics"]

    assert rules.complete(changed("storage-copy-replication", silent)) == [
        "storage-copy-replication publishes no figures"
    ]


def test_each_zone_of_prod_and_each_kind_of_failure_has_its_alarm() -> None:
    assert {alarm.name.removeprefix("watch-").removeprefix("edge-") for alarm in rules.alarms(recorded("prod"))} == {
        "DatabaseStorageLow", "DatabaseCpuHigh", "EdgeTargetsUnhealthy", "BackupCopyFailing", "BackupCopyLate",
        "FunctionErrors-rotation", "FunctionErrors-notify", "PodLogsSilent",
        "NatPortsExhausted-1", "NatPortsExhausted-2", "NatPortsExhausted-3",
    }  # fmt: skip


def test_the_query_names_a_network_balancer_by_its_address() -> None:
    host = "k8s-churn-edge-0a1b2c-5d1b75f4f1cee11e.elb.eu-central-1.amazonaws.com"
    assert unhealthy("AWS/NetworkELB", host).endswith(
        "WHERE LoadBalancer = 'net/k8s-churn-edge-0a1b2c/5d1b75f4f1cee11e'"
    )
    assert "WHERE" not in unhealthy("AWS/ApplicationELB", host)
