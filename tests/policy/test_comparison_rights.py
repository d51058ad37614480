"""The nightly comparison can read every object of a stack on AWS, as a refresh does, and no Secrets of others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.eks_recordings import RECORDINGS
from support.recorder import named, recorded, with_inputs

from infra.naming import COMPARISON_GROUP
from ops.stack.recording import Recording

VIEWED = {
    "": {
        "configmaps", "limitranges", "namespaces", "persistentvolumeclaims", "resourcequotas", "serviceaccounts",
        "services",
    },
    "apps": {"daemonsets", "deployments", "statefulsets"},
    "autoscaling": {"horizontalpodautoscalers"},
    "batch": {"cronjobs", "jobs"},
    "networking.k8s.io": {"ingresses", "networkpolicies"},
    "policy": {"poddisruptionbudgets"},
}  # fmt: skip
"""What AmazonEKSViewPolicy reads of the kinds in a stack (EKS user guide, "Review access policy permissions")."""


def plural(kind: str) -> str:
    """The resource of a kind, as rules name it."""
    word = kind.lower()
    if word.endswith("s"):
        return word if word.endswith("params") else f"{word}es"
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


def granted(recording: Recording) -> dict[str, set[tuple[str, str]]]:
    """What the group may get, as pairs of API group and resource, by namespace; an empty name is everywhere."""
    manifests = recording.manifests()
    rules = {
        (item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]): item["rules"]
        for item in manifests
        if item["kind"] in {"Role", "ClusterRole"}
    }
    rights: dict[str, set[tuple[str, str]]] = {"": {(api, each) for api, kinds in VIEWED.items() for each in kinds}}
    for item in manifests:
        if item["kind"] in {"RoleBinding", "ClusterRoleBinding"}:
            (subject,) = item["subjects"]
            if (subject["kind"], subject["name"]) == ("Group", COMPARISON_GROUP):
                namespace = item["metadata"].get("namespace", "")
                rights.setdefault(namespace, set()).update(
                    (api, resource)
                    for rule in rules[item["roleRef"]["kind"], namespace, item["roleRef"]["name"]]
                    if "get" in rule["verbs"]
                    for api in rule["apiGroups"]
                    for resource in rule["resources"]
                )
    return rights


def unreadable(recording: Recording) -> list[str]:
    """The objects that a refresh could not read."""
    rights = granted(recording)
    return [
        f"{item['kind']} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}"
        for item in recording.manifests()
        if (item["apiVersion"].rpartition("/")[0], plural(item["kind"]))
        not in rights[""] | rights.get(item["metadata"].get("namespace", ""), set())
    ]


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_object_can_be_read(name: str) -> None:
    assert unreadable(RECORDINGS[name]()) == []


@pytest.mark.parametrize("name", RECORDINGS)
def test_secrets_are_read_only_where_the_program_makes_some(name: str) -> None:
    recording = RECORDINGS[name]()
    namespaces = {item["metadata"]["namespace"] for item in recording.manifests() if item["kind"] == "Secret"}
    assert {where for where, rights in granted(recording).items() if ("", "secrets") in rights} == namespaces


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_the_role_of_the_comparison_is_in_the_group_and_no_other_is(stack: str) -> None:
    (cluster,) = [item for item in recorded(stack).resources if item.type == "eks:index:Cluster"]
    entries = cluster.inputs["accessEntries"]
    assert {name: entry["kubernetesGroups"] for name, entry in entries.items() if entry.get("kubernetesGroups")} == {
        "drift": [COMPARISON_GROUP]
    }


def test_an_object_that_cannot_be_read_is_found() -> None:
    recording = recorded("staging")
    role = named(recording, "comparison-cluster-role")
    less = with_inputs(recording, role, lambda inputs: inputs["rules"].pop())
    assert {line.partition(" ")[0] for line in unreadable(less)} == {"StorageClass"}
    binding = named(recording, "comparison-churn-ingress-binding")
    without = replace(recording, resources=[item for item in recording.resources if item is not binding])
    assert [line.partition("/")[0] for line in unreadable(without)] == ["Secret churn-ingress"]
