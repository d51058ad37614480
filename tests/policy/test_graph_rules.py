"""Every rule holds for every stack, and finds the one violation in each of its samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from support import graph_rules as rules
from support.recorder import STACKS, find, recorded, settings, with_inputs, with_resource

from ops.stack.recording import STAND_IN, Recording, Resource

Rule = Callable[[Recording], list[str]]

RULES: list[Rule] = [
    rules.wildcard_rbac,
    rules.bounded_resources,
    rules.probed,
    rules.pod_security,
    rules.hardened,
    rules.budgets_let_drain,
    rules.autoscaler_owns_replicas,
    rules.pinned_images,
    rules.explicit_provider,
    rules.secrets_are_marked,
    rules.secrets_stay_in_secrets,
    rules.own_service_account,
    rules.scheduled_safely,
    rules.jobs_run_again,
    rules.inside_components,
]


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds(rule: Rule, stack: str) -> None:
    assert rule(recorded(stack)) == []


@pytest.mark.parametrize("stack", STACKS)
def test_state_is_kept_where_the_stack_says_so(stack: str) -> None:
    assert rules.state_is_kept(recorded(stack), protect=settings(stack).state.protect) == []


def _changed(kind: str, name: str, change: Callable[[dict[str, Any]], Any], stack: str = "dev") -> Recording:
    """The stack with the inputs of one object changed."""
    recording = recorded(stack)
    return with_inputs(recording, find(recording, kind, name), change)


def _container(inputs: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = inputs["spec"]["template"]["spec"]["containers"][0]
    return container


def _api(change: Callable[[dict[str, Any]], Any], stack: str = "dev") -> Recording:
    return _changed("Deployment", "api", change, stack)


def _rule_of(inputs: dict[str, Any], key: str, value: str) -> None:
    inputs["rules"][0][key] = [value]


def _cluster_role(change: Callable[[dict[str, Any]], Any]) -> Recording:
    return _changed("ClusterRole", "churn-prometheus", change)


def _first(change: Callable[[dict[str, Any]], Any]) -> Recording:
    return _changed("Job", "training-first", change)


BAD: list[tuple[Rule, Callable[[], Recording], str]] = [
    (rules.wildcard_rbac, lambda: _cluster_role(lambda role: _rule_of(role, "verbs", "*")), ": *"),
    (rules.wildcard_rbac, lambda: _cluster_role(lambda role: _rule_of(role, "resources", "secrets")), ": secrets"),
    (rules.wildcard_rbac, lambda: _cluster_role(lambda role: _rule_of(role, "verbs", "escalate")), ": escalate"),
    (
        rules.bounded_resources,
        lambda: _api(lambda d: _container(d)["resources"]["limits"].pop("memory")),
        "limits memory",
    ),
    (rules.probed, lambda: _api(lambda d: _container(d).pop("livenessProbe")), "livenessProbe"),
    (
        rules.pod_security,
        lambda: _changed(
            "Namespace",
            "churn-serving",
            lambda ns: ns["metadata"]["labels"].update({"pod-security.kubernetes.io/enforce": "baseline"}),
        ),
        "churn-serving: baseline",
    ),
    (
        rules.hardened,
        lambda: _api(lambda d: _container(d)["securityContext"].update(readOnlyRootFilesystem=False)),
        "readOnly",
    ),
    (
        rules.hardened,
        lambda: _api(lambda d: _container(d)["securityContext"]["capabilities"].update(add=["NET_BIND_SERVICE"])),
        "capabilities",
    ),
    (
        rules.hardened,
        lambda: _changed(
            "Deployment", "ingress", lambda d: _container(d)["securityContext"].update(capabilities={"drop": ["ALL"]})
        ),
        "Deployment/ingress ingress: capabilities",
    ),
    (
        rules.hardened,
        lambda: _api(lambda d: d["spec"]["template"]["spec"]["securityContext"].update(runAsUser=0)),
        "context",
    ),
    (
        rules.budgets_let_drain,
        lambda: _changed("PodDisruptionBudget", "api", lambda b: b["spec"].update(minAvailable=2)),
        "of 2",
    ),
    (rules.autoscaler_owns_replicas, lambda: _api(lambda d: d["spec"].update(replicas=2)), "replicas 2"),
    (
        rules.autoscaler_owns_replicas,
        lambda: _changed("HorizontalPodAutoscaler", "api", lambda h: h["spec"].update(minReplicas=11)),
        "11 to 10",
    ),
    (rules.pinned_images, lambda: _api(lambda d: _container(d).update(image="churn/api:latest")), "latest"),
    (rules.pinned_images, lambda: _api(lambda d: _container(d).update(image="churn/api")), "churn/api"),
    (rules.pinned_images, lambda: _api(lambda d: _container(d).update(image="churn/api:1"), "prod"), "churn/api:1"),
    (
        rules.own_service_account,
        lambda: _api(lambda d: d["spec"]["template"]["spec"].update(automountServiceAccountToken=True)),
        "token True",
    ),
    (
        rules.own_service_account,
        lambda: _api(lambda d: d["spec"]["template"]["spec"].update(serviceAccountName="default")),
        "account default",
    ),
    (rules.scheduled_safely, lambda: _changed("CronJob", "training", lambda c: c["spec"].pop("timeZone")), "timeZone"),
    (
        rules.scheduled_safely,
        lambda: _changed(
            "CronJob", "training", lambda c: c["spec"]["jobTemplate"]["spec"].pop("activeDeadlineSeconds")
        ),
        "activeDeadlineSeconds",
    ),
    (
        rules.jobs_run_again,
        lambda: _first(lambda j: j["metadata"]["annotations"].pop("pulumi.com/replaceUnready")),
        "replaceUnready",
    ),
    (rules.jobs_run_again, lambda: _first(lambda j: j["spec"].update(ttlSecondsAfterFinished=60)), "ttlSeconds"),
    (
        rules.secrets_stay_in_secrets,
        lambda: _api(lambda d: _container(d)["env"].append({"name": "KEY", "value": f"x{STAND_IN}"})),
        "env",
    ),
    (
        rules.secrets_stay_in_secrets,
        lambda: _api(lambda d: _container(d)["env"].append({"name": "KEY", "valueFrom": {"secretKeyRef": {}}})),
        "KEY",
    ),
]


@pytest.mark.parametrize(
    ("rule", "sample", "expected"), BAD, ids=[f"{rule.__name__}-{expected}" for rule, _, expected in BAD]
)
def test_rule_finds_its_sample(rule: Rule, sample: Callable[[], Recording], expected: str) -> None:
    (violation,) = rule(sample())
    assert expected in violation


def _registration(change: Callable[[Resource], Resource], kind: str = "Deployment", name: str = "api") -> Recording:
    recording = recorded("dev")
    chosen = find(recording, kind, name)
    return with_resource(recording, chosen, change(chosen))


API_KEYS = "api-api-keys-secret"
REGISTRATIONS: list[tuple[Rule, Callable[[], Recording]]] = [
    (rules.explicit_provider, lambda: _registration(lambda item: replace(item, provider=""))),
    (
        rules.explicit_provider,
        lambda: _registration(lambda item: replace(item, provider=item.provider.replace("cluster", "default_4_34"))),
    ),
    (
        rules.secrets_are_marked,
        lambda: _registration(lambda item: replace(item, secret_inputs=frozenset()), "Secret", API_KEYS),
    ),
    (
        rules.inside_components,
        lambda: _registration(
            lambda item: replace(item, parent="urn:pulumi:dev::churn::pulumi:pulumi:Stack::churn-dev")
        ),
    ),
    (
        partial(rules.state_is_kept, protect=False),
        lambda: _registration(lambda item: replace(item, protect=True), "PersistentVolumeClaim", "mlflow-artifacts"),
    ),
    (
        partial(rules.state_is_kept, protect=False),
        lambda: _registration(
            lambda item: replace(item, retain_on_delete=True), "PersistentVolumeClaim", "mlflow-artifacts"
        ),
    ),
]


@pytest.mark.parametrize(("rule", "sample"), REGISTRATIONS, ids=range(len(REGISTRATIONS)))
def test_rule_finds_a_registration_that_breaks_it(rule: Rule, sample: Callable[[], Recording]) -> None:
    assert len(rule(sample())) == 1


def test_an_output_that_is_not_marked_secret_is_found() -> None:
    leaking = replace(recorded("dev"), outputs={"api_key": STAND_IN}, secret_outputs=frozenset())
    assert rules.secrets_stay_in_secrets(leaking) == ["output api_key"]
