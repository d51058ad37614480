"""What the API server enforces in each namespace."""

from __future__ import annotations

import pytest
from support.recorder import STACKS, children, manifest, record_with, recorded, settings

from infra.naming import NAMESPACES, NODES

KINDS = {"Namespace": "", "ResourceQuota": "-quota", "LimitRange": "-limits"}


@pytest.mark.parametrize("stack", STACKS)
def test_each_namespace_has_a_quota_and_limits_and_the_exempt_one_a_guard(stack: str) -> None:
    guard = {
        ("ValidatingAdmissionPolicy", "namespaces-churn-nodes-guard"),
        ("ValidatingAdmissionPolicyBinding", "namespaces-churn-nodes-guard-binding"),
    }
    assert children(recorded(stack), "namespaces") == guard | {
        (kind, f"namespaces-{namespace}{suffix}") for namespace in NAMESPACES for kind, suffix in KINDS.items()
    }


@pytest.mark.parametrize("stack", STACKS)
def test_the_guard_checks_every_pod_and_ephemeral_container_of_its_namespace_and_denies(stack: str) -> None:
    spec = manifest(stack, "ValidatingAdmissionPolicy", NODES)["spec"]
    assert spec["failurePolicy"] == "Fail"
    assert spec["matchConstraints"] == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NODES}},
        "resourceRules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"],
                "resources": ["pods", "pods/ephemeralcontainers"],
            }
        ],
    }
    assert len(spec["validations"]) == 8
    binding = manifest(stack, "ValidatingAdmissionPolicyBinding", NODES)["spec"]
    assert binding == {"policyName": NODES, "validationActions": ["Deny"]}


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("namespace", NAMESPACES)
def test_pod_security_is_restricted_but_for_the_exemption(stack: str, namespace: str) -> None:
    labels = manifest(stack, "Namespace", namespace)["metadata"]["labels"]
    levels = {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")}
    assert levels == {"privileged" if namespace == NODES else "restricted"}
    assert "istio-injection" not in labels


@pytest.mark.parametrize("stack", STACKS)
def test_quotas_are_the_configured_ones(stack: str) -> None:
    quota = settings(stack).namespaces.quota
    assert manifest(stack, "ResourceQuota", "quota", "churn-serving")["spec"]["hard"] == {
        "requests.cpu": quota.cpu,
        "requests.memory": quota.memory,
        "pods": str(quota.pods),
    }


def test_a_mesh_labels_every_namespace_but_the_exempt_one() -> None:
    recording = record_with("dev", namespaces={"mesh": "istio"})
    labelled = {
        item["metadata"]["name"]
        for item in recording.manifests()
        if item["kind"] == "Namespace" and item["metadata"]["labels"].get("istio-injection") == "enabled"
    }
    assert labelled == set(NAMESPACES) - {NODES}
