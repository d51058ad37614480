"""Whole stacks on a real API server and scheduler: all objects are accepted, all pods scheduled, and no right is extra.

The nodes are simulated, so nothing runs: a pod is Ready and a job complete as soon as it has a node.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from support.deployed import NO_PEM, WAIT, Deployed, deployed, in_order, scale, settle, troubles, unplaced
from support.kubectl import Json, Kubectl
from support.recorder import STACKS, record_with, recorded
from support.rights import declared, granted
from support.servers import wait_until

from infra.kit.pod import ZONE
from infra.naming import COMPARISON_GROUP

pytestmark = pytest.mark.cluster

NO_MORE_THAN_ANYBODY = ("nobody", "default")
"""A service account without a binding: it may read the API's description and ask about its own rights."""


@pytest.fixture(scope="module", params=STACKS)
def stack(request: pytest.FixtureRequest, cluster: Kubectl) -> Iterator[Deployed]:
    with deployed(cluster, recorded(request.param)) as applied:
        yield applied


@pytest.fixture(scope="module")
def ready(stack: Deployed) -> Deployed:
    """The stack with every replica Ready, at the autoscalers' minimum."""
    scale(stack, "minReplicas")
    settle(stack)
    return stack


def placed(stack: Deployed) -> dict[str, Counter[str]]:
    """By workload, how many pods each zone has; a pod without a node is in none."""
    zones = {node["metadata"]["name"]: node["metadata"]["labels"][ZONE] for node in stack.kubectl.get("nodes")}
    by_workload = {}
    pods = stack.live("pods")
    for workload in stack.of("Deployment", "StatefulSet"):
        nodes = [pod["spec"].get("nodeName") for pod in pods_of(workload, pods)]
        by_workload[workload["metadata"]["name"]] = Counter(dict.fromkeys(zones.values(), 0))
        by_workload[workload["metadata"]["name"]].update(zones[node] for node in nodes if node)
    return by_workload


def pods_of(workload: Json, pods: list[Json]) -> list[Json]:
    selector, namespace = workload["spec"]["selector"]["matchLabels"].items(), workload["metadata"]["namespace"]
    return [
        pod
        for pod in pods
        if pod["metadata"]["namespace"] == namespace and selector <= pod["metadata"]["labels"].items()
    ]


def skew(counts: Counter[str]) -> int:
    return max(counts.values()) - min(counts.values())


def test_every_object_passes_a_server_side_apply(stack: Deployed) -> None:
    assert stack.answer.err.replace(NO_PEM, "") == ""  # no refusal, and no warning of Pod Security or of an old API
    applied = Counter(line.rpartition(" ")[2] for line in stack.answer.out.splitlines())
    assert applied == {"serverside-applied": len(stack.objects)}


def test_a_mesh_can_be_switched_on_in_place(stack: Deployed) -> None:
    objects = in_order(record_with(stack.stack, namespaces={"mesh": "istio"}).manifests())
    assert "PeerAuthentication" in {item["kind"] for item in objects}
    answer = stack.kubectl.apply(objects, "--dry-run=server")
    assert answer.err.replace(NO_PEM, "") == ""


def test_every_pod_gets_ready(ready: Deployed) -> None:
    assert unplaced(ready) == {}
    for daemon in ready.live("daemonsets"):
        assert daemon["status"]["numberReady"] == len(ready.kubectl.get("nodes")), daemon["metadata"]["name"]


def test_every_job_completes_and_every_claim_gets_a_volume(ready: Deployed) -> None:
    jobs = ready.of("Job")
    for schedule in ready.of("CronJob"):
        name, namespace = schedule["metadata"]["name"], schedule["metadata"]["namespace"]
        arguments = ("create", "job", f"{name}-now", f"--from=cronjob/{name}", "--namespace", namespace)
        jobs += ready.kubectl.run(*arguments, "--output", "json").items()
    answer = ready.kubectl.attempt("wait", "--for=condition=Complete", WAIT, "-f", "-", objects=jobs)
    assert answer.ok, f"{answer.err} {troubles(ready)}"
    claims = {claim["metadata"]["name"]: claim["status"]["phase"] for claim in ready.live("persistentvolumeclaims")}
    assert set(claims.values()) == {"Bound"}, claims
    assert len(claims) >= len(ready.of("PersistentVolumeClaim"))


def test_replicas_are_spread_over_the_zones(ready: Deployed) -> None:
    several = {name: counts for name, counts in placed(ready).items() if counts.total() > 1}
    assert several.keys() >= ({"api"} if ready.stack == "dev" else {"api", "ingress", "mlflow"})
    assert {name: counts for name, counts in several.items() if skew(counts) > 1} == {}


def at_the_maximum(stack: Deployed, workloads: Sequence[Json] | None = None) -> tuple[Counter[str], int]:
    """How many pods each zone has once the autoscaler has set its maximum, and that maximum."""
    [scaler] = stack.of("HorizontalPodAutoscaler")
    scale(stack, "maxReplicas")
    settle(stack, workloads)
    return placed(stack)["api"], int(scaler["spec"]["maxReplicas"])


def test_pods_go_to_the_open_zone_while_the_others_are_closed(ready: Deployed) -> None:
    """Two zones are cordoned, as for an upgrade of their nodes: the autoscaler's pods go to the third."""
    nodes = ready.kubectl.get("nodes")
    open_zone = nodes[0]["metadata"]["labels"][ZONE]
    closed = [node["metadata"]["name"] for node in nodes if node["metadata"]["labels"][ZONE] != open_zone]
    try:
        ready.kubectl.run("cordon", *closed)
        counts, most = at_the_maximum(ready)
    finally:
        ready.kubectl.run("uncordon", *closed)
        scale(ready, "minReplicas")
    assert counts.total() == most


DEAD = "node.kubernetes.io/out-of-service"
"""The taint by which an operator says that a node does not come back: its pods are evicted at once. The taints of a
node that is not ready do the same after five minutes, but a simulated node is ready again at once."""


def without_disks(stack: Deployed) -> list[Json]:
    """Deployments that may run on any node."""
    return [
        item
        for item in stack.of("Deployment")
        if not any("persistentVolumeClaim" in volume for volume in item["spec"]["template"]["spec"].get("volumes", []))
    ]


def held_by_disks(stack: Deployed, zone: str) -> set[str]:
    """The pods whose disk is in a zone, and which wait for that zone, as with a cloud's disks."""
    there = {
        (volume["spec"]["claimRef"]["namespace"], volume["spec"]["claimRef"]["name"])
        for volume in stack.kubectl.get("persistentvolumes")
        if f'"{zone}"' in json.dumps(volume["spec"].get("nodeAffinity"))
    }
    return {
        pod["metadata"]["name"]
        for pod in stack.live("pods")
        for volume in pod["spec"].get("volumes", [])
        if (pod["metadata"]["namespace"], volume.get("persistentVolumeClaim", {}).get("claimName")) in there
    }


def test_a_dead_zone_stops_neither_replacements_nor_the_autoscaler(ready: Deployed) -> None:
    nodes = ready.kubectl.get("nodes")
    zone = nodes[0]["metadata"]["labels"][ZONE]
    lost = [node["metadata"]["name"] for node in nodes if node["metadata"]["labels"][ZONE] == zone]
    try:
        ready.kubectl.run("taint", "nodes", *lost, f"{DEAD}=nodeshutdown:NoExecute", "--overwrite")
        wait_until(lambda: not any(counts[zone] for counts in placed(ready).values()), "no pod is in the dead zone", 60)
        settle(ready, without_disks(ready))  # every pod that was lost has a successor
        counts, most = at_the_maximum(ready, without_disks(ready))
        left = {name: why for name, why in unplaced(ready).items() if name not in held_by_disks(ready, zone)}
    finally:
        ready.kubectl.run("taint", "nodes", *lost, f"{DEAD}-")
        scale(ready, "minReplicas")
    assert left == {}
    assert counts.total() == most
    assert counts.pop(zone) == 0
    settle(ready)


IN_SEVERAL_ZONES = {
    "dev": {"api"},
    "staging": {"api", "ingress", "mlflow"},
    "prod": {"api", "ingress", "mlflow", "grafana", "prometheus", "alertmanager", "thanos-query", "thanos-store"},
}


def test_what_has_replicas_outlives_a_zone(ready: Deployed) -> None:
    """A zone is cordoned and drained. Budgets allow every eviction, and hold.

    A pod with a disk waits for the zone of its disk.
    """
    several = {name for name, counts in placed(ready).items() if counts.total() > 1}
    assert several >= IN_SEVERAL_ZONES[ready.stack]
    nodes = ready.kubectl.get("nodes")
    zone = nodes[0]["metadata"]["labels"][ZONE]
    lost = [node["metadata"]["name"] for node in nodes if node["metadata"]["labels"][ZONE] == zone]
    try:
        ready.kubectl.run("drain", *lost, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s")
        assert {name: counts[zone] for name, counts in placed(ready).items() if counts[zone]} == {}
        budgets = {item["metadata"]["name"]: item["status"] for item in ready.live("poddisruptionbudgets")}
        assert budgets.keys() >= several
        assert {
            name for name in several if budgets[name]["currentHealthy"] < max(1, budgets[name]["desiredHealthy"])
        } == set()
    finally:
        ready.kubectl.run("uncordon", *lost)
    settle(ready)


def test_a_debugging_container_has_to_be_as_hard(ready: Deployed) -> None:
    pod = next(pod for pod in ready.live("pods") if pod["metadata"]["namespace"] == "churn-monitoring")["metadata"]
    command = ("debug", f"pod/{pod['name']}", "--namespace", pod["namespace"], "--image=shell:1")
    for profile, soft in (("sysadmin", "privileged=true"), ("general", "SYS_PTRACE"), ("legacy", "drop=")):
        answer = ready.kubectl.attempt(*command, f"--profile={profile}")
        assert not answer.ok
        assert 'violates PodSecurity "restricted:latest"' in answer.err
        assert soft in answer.err
    ready.kubectl.run(*command, "--profile=restricted")


def test_service_accounts_may_do_what_their_roles_say_and_no_more(stack: Deployed) -> None:
    namespaces = [*(item["metadata"]["name"] for item in stack.of("Namespace")), "default", "kube-system"]
    others = {
        (subject["kind"], subject["name"])
        for item in stack.of("RoleBinding", "ClusterRoleBinding")
        for subject in item["subjects"]
        if subject["kind"] != "ServiceAccount"
    }
    # On AWS the nightly comparison reads; `tests/policy/test_comparison_rights.py` says what.
    assert others == (set() if stack.stack == "dev" else {("Group", COMPARISON_GROUP)})
    basic = granted(stack.kubectl, *NO_MORE_THAN_ANYBODY, within=namespaces)
    for account in stack.live("serviceaccounts"):
        who = (account["metadata"]["name"], account["metadata"]["namespace"])
        actual = granted(stack.kubectl, *who, within=namespaces)
        for namespace in namespaces:
            assert actual[namespace] - basic[namespace] == declared(stack.objects, *who, within=namespace), who
