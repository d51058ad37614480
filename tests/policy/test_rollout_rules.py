"""Every rule on how workloads come up holds for every stack, and finds the violation in each of its samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import rollout_rules as rules
from support.recorder import STACKS, find, recorded, with_inputs

from ops.stack.recording import Recording

Rule = Callable[[Recording], list[str]]

RULES: list[Rule] = [
    rules.services_wait_like_their_workloads,
    rules.waited_for,
    rules.outlives_a_zone,
    rules.jobs_are_left_alone,
    rules.companions_start_as_late,
]


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds(rule: Rule, stack: str) -> None:
    assert rule(recorded(stack)) == []


def changed(kind: str, name: str, change: Callable[[dict[str, Any]], Any], stack: str = "dev") -> Recording:
    """The stack with the inputs of one object changed."""
    recording = recorded(stack)
    return with_inputs(recording, find(recording, kind, name), change)


def pod_template(inputs: dict[str, Any]) -> dict[str, Any]:
    """The pods of a CronJob."""
    pods: dict[str, Any] = inputs["spec"]["jobTemplate"]["spec"]["template"]
    return pods


def sidecar_startup(inputs: dict[str, Any]) -> dict[str, Any]:
    """The startup probe of the second container."""
    probe: dict[str, Any] = inputs["spec"]["template"]["spec"]["containers"][1]["startupProbe"]
    return probe


def zone_constraint(inputs: dict[str, Any]) -> dict[str, Any]:
    """The first constraint of an object's pods."""
    constraint: dict[str, Any] = inputs["spec"]["template"]["spec"]["topologySpreadConstraints"][0]
    return constraint


BAD: list[tuple[Rule, Callable[[], Recording], str]] = [
    (
        rules.services_wait_like_their_workloads,
        lambda: changed("Service", "api", lambda service: service["metadata"].pop("annotations")),
        "api-service: 600 s, api-deployment: 900 s",
    ),
    (
        rules.services_wait_like_their_workloads,
        lambda: changed("Service", "mlflow", lambda service: service["spec"].update(selector={"a": "b"})),
        "no controller",
    ),
    (
        rules.waited_for,
        lambda: changed("Deployment", "mlflow", lambda item: item["spec"].update(strategy={"type": "Recreate"})),
        "mlflow-deployment",
    ),
    (
        rules.outlives_a_zone,
        lambda: changed("Deployment", "api", lambda item: zone_constraint(item).pop("nodeTaintsPolicy"), "prod"),
        "Deployment/api: topology.kubernetes.io/zone",
    ),
    (
        rules.outlives_a_zone,
        lambda: changed("Deployment", "api", lambda item: zone_constraint(item).update(minDomains=3), "prod"),
        "Deployment/api: topology.kubernetes.io/zone",
    ),
    (
        rules.jobs_are_left_alone,
        lambda: changed("CronJob", "training", lambda item: pod_template(item)["metadata"].pop("annotations"), "prod"),
        "CronJob/training",
    ),
    (
        rules.companions_start_as_late,
        lambda: changed(
            "StatefulSet", "prometheus", lambda item: sidecar_startup(item).update(failureThreshold=60), "prod"
        ),
        "300 s of thanos-sidecar, 900 s of prometheus",
    ),
]


@pytest.mark.parametrize(
    ("rule", "sample", "expected"), BAD, ids=[f"{rule.__name__}-{expected}" for rule, _, expected in BAD]
)
def test_rule_finds_its_sample(rule: Rule, sample: Callable[[], Recording], expected: str) -> None:
    (violation,) = rule(sample())
    assert expected in violation
