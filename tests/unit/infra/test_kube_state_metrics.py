"""kube-state-metrics: it lists what it exports, in our namespaces, and nothing else."""

from __future__ import annotations

import re

import pytest
from recorded.record import wanted_metrics
from support.recorder import STACKS, children, manifest, recorded

from infra.naming import NAMESPACES

NAME = "kube-state-metrics"


@pytest.mark.parametrize("stack", STACKS)
def test_it_is_exactly_these_objects(stack: str) -> None:
    assert children(recorded(stack), NAME) == {
        ("Deployment", f"{NAME}-deployment"),
        ("ServiceAccount", f"{NAME}-account"),
        *(("Role", f"{NAME}-{namespace}-role") for namespace in NAMESPACES),
        *(("RoleBinding", f"{NAME}-{namespace}-binding") for namespace in NAMESPACES),
    }


@pytest.mark.parametrize("stack", STACKS)
def test_it_may_list_exactly_what_it_exports(stack: str) -> None:
    (container,) = manifest(stack, "Deployment", NAME)["spec"]["template"]["spec"]["containers"]
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in container["args"])
    exported = set(flags["resources"].split(","))
    assert set(flags["namespaces"].split(",")) == set(NAMESPACES)
    assert not exported & {"secrets", "configmaps", "nodes"}
    for namespace in NAMESPACES:
        rules = manifest(stack, "Role", NAME, namespace)["rules"]
        assert {resource for rule in rules for resource in rule["resources"]} == exported
        assert all(rule["verbs"] == ["list", "watch"] for rule in rules)
        assert all(re.fullmatch(r"[a-z]*", group) for rule in rules for group in rule["apiGroups"])
        (subject,) = manifest(stack, "RoleBinding", NAME, namespace)["subjects"]
        assert (subject["name"], subject["namespace"]) == (NAME, "churn-monitoring")


@pytest.mark.parametrize("stack", STACKS)
def test_its_pod(stack: str) -> None:
    spec = manifest(stack, "Deployment", NAME)["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert pod["automountServiceAccountToken"] is True
    assert pod["securityContext"]["runAsUser"] == 65534
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert "volumes" not in pod
    probes = {probe: container[f"{probe}Probe"]["httpGet"] for probe in ("readiness", "liveness")}
    # Liveness checks only the process: /livez would ask the API server.
    assert probes == {
        "readiness": {"path": "/readyz", "port": "telemetry"},
        "liveness": {"path": "/healthz", "port": "http"},
    }


@pytest.mark.parametrize("stack", STACKS)
def test_it_exports_what_rules_and_panels_ask_it_for(stack: str) -> None:
    """By the names of its metrics, such as `kube_horizontalpodautoscaler_status_condition`."""
    (container,) = manifest(stack, "Deployment", NAME)["spec"]["template"]["spec"]["containers"]
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in container["args"])
    exported = {resource.removesuffix("s") for resource in flags["resources"].split(",")}
    asked = {metric.split("_")[1] for metric in wanted_metrics() if metric.startswith("kube_")}
    assert {"cronjob", "horizontalpodautoscaler", "job", "pod"} <= asked <= exported
    # An allow-list or deny-list of metrics would have to name each of them.
    assert not {"metric-allowlist", "metric-denylist"} & flags.keys()
