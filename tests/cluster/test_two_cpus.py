"""The `dev` stack on one node of two CPUs, beside what kind's own pods request: every pod gets a node.

The node is simulated, so that this is the scheduler's judgement alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import kind_node
from support.deployed import WAIT, Deployed, deployed, scale, settle, unplaced
from support.kubectl import Kubectl
from support.recorder import recorded
from support.servers import wait_until

from infra.kit.pod import ZONE
from ops.stack import doctor, doctor_checks, metrics_server
from ops.stack.demand import demand, of_pod

pytestmark = pytest.mark.cluster

NODE = "two-cpus"
BESIDE = "default"


@pytest.fixture(scope="module")
def small(cluster: Kubectl) -> Iterator[Kubectl]:
    """The cluster with this node alone open, and kind's own pods and metrics-server on it."""
    others = [node["metadata"]["name"] for node in cluster.get("nodes")]
    zone = cluster.get("nodes")[0]["metadata"]["labels"][ZONE]
    node = kind_node.node(NODE, {ZONE: zone, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"})
    [metrics] = [item for item in metrics_server.objects() if item["kind"] == "Deployment"]
    beside = kind_node.own_pods(NODE, BESIDE)
    own = {"name": "main", "image": "kind:1", "resources": {"requests": metrics_server.REQUESTS}}
    beside.append({**beside[0], "metadata": {"name": "metrics-server", "namespace": BESIDE}})
    beside[-1]["spec"] = {**beside[0]["spec"], "containers": [own]}
    assert of_pod(beside[-1]["spec"]) == of_pod(metrics["spec"]["template"]["spec"])
    try:
        cluster.run("cordon", *others)
        cluster.run("create", "-f", "-", objects=[node])
        cluster.run("wait", f"node/{NODE}", "--for=condition=Ready", WAIT)
        cluster.run("create", "-f", "-", objects=beside)
        yield cluster
    finally:
        cluster.delete([*beside, node])
        cluster.run("uncordon", *others)


@pytest.fixture(scope="module")
def stack(small: Kubectl) -> Iterator[Deployed]:
    with deployed(small, recorded("dev")) as applied:
        yield applied


def test_the_examination_agrees_with_the_scheduler(small: Kubectl) -> None:
    asked = demand(recorded("dev").manifests())
    assert doctor_checks.resources(doctor.gather(""), asked).level == doctor_checks.Level.OK
    other = {"name": "main", "image": "other:1", "resources": {"requests": {"cpu": "600m"}}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other", "namespace": BESIDE}}
    pod |= {"spec": {"nodeName": NODE, "containers": [other]}}
    try:
        small.run("create", "-f", "-", objects=[pod])
        finding = doctor_checks.resources(doctor.gather(""), asked)
        assert finding.level == doctor_checks.Level.ERROR, finding
    finally:
        small.delete([pod])


def test_every_pod_gets_a_node_and_every_job_completes(stack: Deployed) -> None:
    scale(stack, "minReplicas")
    settle(stack)
    answer = stack.kubectl.attempt("wait", "--for=condition=Complete", WAIT, "-f", "-", objects=stack.of("Job"))
    assert answer.ok, (answer.err, unplaced(stack))
    assert unplaced(stack) == {}
    assert {pod["spec"]["nodeName"] for pod in stack.live("pods") if pod["metadata"]["namespace"] != "churn-nodes"} == {
        NODE
    }


def test_everything_can_be_released_at_once(stack: Deployed) -> None:
    for workload in stack.of("Deployment", "StatefulSet", "DaemonSet"):
        name, where = workload["metadata"]["name"], ("--namespace", workload["metadata"]["namespace"])
        stack.kubectl.run("rollout", "restart", f"{workload['kind']}/{name}", *where)
    settle(stack)
    assert unplaced(stack) == {}


def test_a_scheduled_job_has_room_beside_everything(stack: Deployed) -> None:
    for schedule in stack.of("CronJob"):
        name, namespace = schedule["metadata"]["name"], schedule["metadata"]["namespace"]
        job = f"{name}-beside"
        stack.kubectl.run("create", "job", job, f"--from=cronjob/{name}", "--namespace", namespace)
        arguments = ("wait", f"job/{job}", "--for=condition=Complete", "--namespace", namespace, WAIT)
        answer = stack.kubectl.attempt(*arguments)
        assert answer.ok, (name, answer.err, unplaced(stack))


def test_one_more_pod_would_wait(stack: Deployed) -> None:
    """The node is really full: it is no larger than it claims to be."""
    rest = {"name": "main", "image": "rest:1", "resources": {"requests": {"cpu": "1"}}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "rest", "namespace": BESIDE}}
    pod |= {"spec": {"containers": [rest]}}
    try:
        stack.kubectl.run("create", "-f", "-", objects=[pod])

        def refused() -> bool:
            [live] = stack.kubectl.run("get", "pod", "rest", "--namespace", BESIDE, "--output", "json").items()
            conditions = live["status"].get("conditions", [])
            return any("Insufficient cpu" in condition.get("message", "") for condition in conditions)

        wait_until(refused, "the scheduler refuses a pod of a whole CPU")
    finally:
        stack.kubectl.delete([pod])
