"""Which pods the namespaces admit, decided by the real API server. Nothing is stored: all creations are dry runs."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Iterator

import pytest
from support.deployed import in_order
from support.kubectl import Json, Kubectl
from support.pod_mutants import CONTAINER, POD, mutants
from support.recorder import STACKS, pod_templates, recorded

from ops.stack.recording import Recording

pytestmark = pytest.mark.cluster

EXEMPT = "churn-nodes"
GUARDS = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
FENCES = {"Namespace", "ResourceQuota", "LimitRange", "PriorityClass", "ServiceAccount", *GUARDS}
"""Kinds that decide which pods are admitted."""
REFUSED = re.compile(r'[Pp]ods? "(?P<name>[^"]+)" is (?:forbidden|invalid): (?P<why>.*)')


@dataclasses.dataclass(frozen=True)
class Fenced:
    """The namespaces of a stack, and its pods as controllers would create them there."""

    kubectl: Kubectl
    namespaces: list[str]
    pods: dict[str, Json]
    quotas: dict[str, dict[str, str]]

    def refusals(self, pods: dict[str, Json]) -> dict[str, str]:
        """Try to create pods under temporary names; returns the reason for each that is refused."""
        names = {f"pod-{number}": name for number, name in enumerate(pods)}
        named = [
            {**pod, "metadata": {**pod["metadata"], "name": short}}
            for short, pod in zip(names, pods.values(), strict=True)
        ]
        answer = self.kubectl.would_create(named)
        reasons = {names[match["name"]]: match["why"] for match in REFUSED.finditer(answer.err)}
        assert len(reasons) + len(answer.items()) == len(pods), answer.err
        return reasons


def pods_of(recording: Recording) -> dict[str, Json]:
    """A pod of each owner, as its controller would create it."""
    pods = {}
    for resource in recording.resources:
        for owner, template in pod_templates(dataclasses.replace(recording, resources=[resource])):
            spec = copy.deepcopy(template["spec"])
            for claim in resource.inputs["spec"].get("volumeClaimTemplates", []):
                name = claim["metadata"]["name"]
                spec.setdefault("volumes", []).append({"name": name, "persistentVolumeClaim": {"claimName": name}})
            metadata = {**template["metadata"], "namespace": resource.outputs["metadata"]["namespace"]}
            pods[owner] = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    return pods


@pytest.fixture(scope="module")
def emptied(cluster: Kubectl) -> Iterator[Kubectl]:
    """The cluster, whose namespaces are deleted at the end; the stacks use the same ones, one after another."""
    yield cluster
    cluster.delete([item for item in recorded("dev").manifests() if item["kind"] in {"Namespace", "PriorityClass"}])


@pytest.fixture(scope="module", params=STACKS)
def fenced(request: pytest.FixtureRequest, emptied: Kubectl) -> Fenced:
    objects = in_order(recorded(request.param).manifests())
    answer = emptied.apply([item for item in objects if item["kind"] in FENCES])
    assert answer.ok, answer.err
    return Fenced(
        kubectl=emptied,
        namespaces=[item["metadata"]["name"] for item in objects if item["kind"] == "Namespace"],
        pods=pods_of(recorded(request.param)),
        quotas={
            item["metadata"]["namespace"]: item["spec"]["hard"] for item in objects if item["kind"] == "ResourceQuota"
        },
    )


def test_every_pod_is_let_in(fenced: Fenced) -> None:
    assert fenced.refusals(fenced.pods) == {}


def test_every_softer_pod_is_refused(fenced: Fenced) -> None:
    assert len(POD) + len(CONTAINER) >= 20
    expected, tried = {}, {}
    for owner, pod in fenced.pods.items():
        if pod["metadata"]["namespace"] == EXEMPT:
            continue
        for soft, refusal, mutant in mutants(pod):
            expected[f"{owner} {soft}"], tried[f"{owner} {soft}"] = refusal, mutant
    refusals = fenced.refusals(tried)
    let_in = tried.keys() - refusals.keys()
    assert let_in == set()
    assert {name: why for name, why in refusals.items() if expected[name] not in why} == {}


def test_a_pod_made_by_hand_has_to_be_as_hard(fenced: Fenced) -> None:
    container = {"name": "shell", "image": "shell:1", "securityContext": {"privileged": True}}
    pods = {
        name: {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"namespace": name},
            "spec": {"serviceAccountName": "default", "containers": [container]},
        }
        for name in fenced.namespaces
    }
    refusals = fenced.refusals(pods)
    assert pods.keys() == refusals.keys()
    assert "only what node-exporter needs: no privileged container" in refusals.pop(EXEMPT)
    for why in refusals.values():
        assert 'violates PodSecurity "restricted:latest": privileged' in why


def test_more_than_the_quota_is_refused(fenced: Fenced) -> None:
    for resource in ("cpu", "memory"):
        greedy = copy.deepcopy(fenced.pods)
        for pod in greedy.values():
            hard = fenced.quotas[pod["metadata"]["namespace"]][f"requests.{resource}"]
            more = re.sub(r"^\d+", lambda number: str(int(number[0]) + 1), hard)
            for bound in ("requests", "limits"):
                pod["spec"]["containers"][0]["resources"][bound][resource] = more
        refusals = fenced.refusals(greedy)
        assert greedy.keys() - refusals.keys() == set()
        assert [why for why in refusals.values() if "exceeded quota: quota" not in why] == []


def test_a_container_without_resources_gets_some(fenced: Fenced) -> None:
    pods = copy.deepcopy(list(fenced.pods.values()))
    for number, pod in enumerate(pods):
        pod["metadata"]["name"] = f"pod-{number}"
        del pod["spec"]["containers"][0]["resources"]
    created = fenced.kubectl.would_create(pods).items()
    assert len(created) == len(pods)
    for pod in created:
        resources = pod["spec"]["containers"][0]["resources"]
        assert resources["limits"].keys() == resources["requests"].keys() == {"cpu", "memory"}
