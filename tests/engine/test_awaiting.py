"""The stand-in for Pulumi's Kubernetes provider waits no longer than the original, where the original ends early."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from support.engine.awaited import REVISION, Deployment, Service
from support.engine.readiness import awaiter

Json = dict[str, Any]
AVAILABLE = {"type": "Available", "status": "True"}
COMPLETE = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
CREATED = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetCreated"}


def deployment(revision: str, *conditions: Json, claim: str = "", generation: int = 1) -> Json:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}] if claim else []
    return {
        "kind": "Deployment",
        "metadata": {
            "name": "it",
            "namespace": "one",
            "uid": "d",
            "generation": generation,
            "annotations": {REVISION: revision},
        },
        "spec": {"replicas": 1, "template": {"spec": {"volumes": volumes}}},
        "status": {"observedGeneration": 1, "conditions": list(conditions)},
    }


def replica_set(revision: str, *, desired: int, ready: int, owner: str = "d") -> Json:
    metadata = {"annotations": {REVISION: revision}, "ownerReferences": [{"uid": owner}]}
    status = {"readyReplicas": ready} if ready else {}
    return {"metadata": metadata, "spec": {"replicas": desired}, "status": status}


@dataclass
class Cluster:
    """Answers of an API server."""

    replica_sets: list[Json] = field(default_factory=list)
    endpoints: list[Json] = field(default_factory=list)
    phase: str = "Bound"

    def get(self, path: str, **_parameters: str) -> Any:
        if path.endswith("/replicasets"):
            return {"items": self.replica_sets}
        if "/persistentvolumeclaims/" in path:
            return {"status": {"phase": self.phase}}
        assert path.endswith("/endpointslices")
        return {"items": [{"endpoints": self.endpoints}]}


def test_an_update_that_ends_the_old_pods_first_looks_done_while_none_runs() -> None:
    """`Recreate`: the revision changes only once the old pods are gone."""
    cluster = Cluster([replica_set("1", desired=0, ready=1)])
    wait = Deployment(deployment("1", AVAILABLE, COMPLETE), cluster.get)
    assert wait.missing(deployment("1", AVAILABLE, COMPLETE)) is None
    assert wait.missing(deployment("1", {"type": "Available", "status": "False"}, COMPLETE)) is None


def test_a_rolling_update_without_a_surge_is_waited_for() -> None:
    """The new ReplicaSet exists first, and wants no pod yet; the condition Progressing holds the wait back."""
    old, new = replica_set("1", desired=1, ready=1), replica_set("2", desired=0, ready=0)
    cluster = Cluster([old, new])
    wait = Deployment(deployment("1", AVAILABLE, COMPLETE), cluster.get)
    assert wait.missing(deployment("2", AVAILABLE, CREATED)) == "it is still rolling out"
    cluster.replica_sets = [replica_set("1", desired=0, ready=0), replica_set("2", desired=1, ready=0)]
    assert wait.missing(deployment("2", AVAILABLE, CREATED)) == "0 of 1 pods of revision 2 are ready"
    cluster.replica_sets[1] = replica_set("2", desired=1, ready=1)
    assert wait.missing(deployment("2", AVAILABLE, COMPLETE)) is None


def test_a_first_rollout_needs_no_word_of_progress() -> None:
    cluster = Cluster([replica_set("1", desired=1, ready=1), replica_set("1", desired=0, ready=0, owner="other")])
    wait = Deployment(None, cluster.get)
    assert wait.missing(deployment("1", AVAILABLE)) is None
    assert wait.missing(deployment("1", {"type": "Available", "status": "False"})) == "it is not available"
    assert wait.missing(deployment("1", AVAILABLE, generation=2)) == "the controller has not seen it"


def test_a_rollout_that_does_not_progress_is_waited_for_until_the_time_is_up() -> None:
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "too slow"}
    wait = Deployment(deployment("1"), Cluster([replica_set("2", desired=1, ready=0)]).get)
    assert wait.missing(deployment("2", AVAILABLE, late)) == "0 of 1 pods of revision 2 are ready; too slow"


def test_a_claim_that_is_not_bound_holds_a_deployment_back() -> None:
    cluster = Cluster([replica_set("1", desired=1, ready=1)], phase="Pending")
    assert (
        Deployment(None, cluster.get).missing(deployment("1", AVAILABLE, claim="data")) == "the claim data is Pending"
    )


def service(kind: str = "ClusterIP", **spec: Any) -> Json:
    metadata = {"name": "it", "namespace": "one"}
    spec = {"type": kind, "selector": {"a": "b"}, **spec}
    return {"kind": "Service", "metadata": metadata, "spec": spec, "status": {}}


def endpoint(address: str, *, ready: bool, terminating: bool = False) -> Json:
    return {"addresses": [address], "conditions": {"ready": ready, "terminating": terminating}}


@pytest.fixture
def clock() -> list[float]:
    """The time, as the one item."""
    return [100.0]


def test_a_service_without_pods_is_done_after_ten_seconds(clock: list[float]) -> None:
    wait = Service(Cluster().get, lambda: clock[0])
    assert wait.missing(service()) == "its pods have only just changed"
    clock[0] += 9
    assert wait.missing(service()) is not None
    clock[0] += 1
    assert wait.missing(service()) is None


def test_one_pod_that_is_not_ready_holds_a_service_back(clock: list[float]) -> None:
    cluster = Cluster(endpoints=[endpoint("1", ready=True), endpoint("2", ready=False)])
    wait = Service(cluster.get, lambda: clock[0])
    clock[0] += 500
    assert wait.missing(service()) == "1 of its 2 pods are not ready"
    cluster.endpoints[1] = endpoint("2", ready=False, terminating=True)
    assert wait.missing(service()) == "its pods have only just changed"
    clock[0] += 10
    assert wait.missing(service()) is None


def test_an_earlier_change_lets_a_service_settle_sooner(clock: list[float]) -> None:
    """Each change starts its own ten seconds, and none of them is called off."""
    cluster = Cluster(endpoints=[endpoint("1", ready=False)])
    wait = Service(cluster.get, lambda: clock[0])
    assert wait.missing(service()) is not None
    clock[0] += 9
    cluster.endpoints = [endpoint("1", ready=True)]
    assert wait.missing(service()) is not None
    clock[0] += 1
    assert wait.missing(service()) is None


def test_a_load_balancers_address_is_waited_for(clock: list[float]) -> None:
    wait = Service(Cluster().get, lambda: clock[0])
    wait.missing(service("LoadBalancer"))
    clock[0] += 10
    assert wait.missing(service("LoadBalancer")) == "it has no address"
    addressed = service("LoadBalancer") | {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    assert wait.missing(addressed) is None


@pytest.mark.parametrize("spec", [{"clusterIP": "None"}, {"selector": {}}])
def test_a_service_that_selects_nothing_or_is_headless_is_done_at_once(spec: Json) -> None:
    assert awaiter(None, Cluster().get)(service(**spec)) is None
