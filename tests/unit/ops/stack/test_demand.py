"""What a stack requests is summed as the scheduler does, and `dev` fits into two CPUs beside kind's own pods."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from support import kind_node
from support.paths import ROOT
from support.recorder import recorded

from ops.stack import metrics_server
from ops.stack.demand import Demand, Room, demand, of_pod, quantity


def container(cpu: str, memory: str = "0", **more: Any) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu, "memory": memory}}, **more}


def workload(kind: str, cpu: str, *, name: str = "it", **spec: Any) -> dict[str, Any]:
    template = {"template": {"spec": {"containers": [container(cpu, "64Mi")]}}}
    body = {"jobTemplate": {"spec": template}} if kind == "CronJob" else template
    return {"kind": kind, "metadata": {"name": name, "namespace": "one"}, "spec": {**body, **spec}}


QUANTITIES: list[tuple[str | float, float]] = [
    ("250m", 0.25),
    ("500m", 0.5),
    ("2", 2),
    ("0.5", 0.5),
    (1, 1),
    ("1Gi", 2**30),
    ("128974848", 128974848),
    ("1e3", 1000),
]


@pytest.mark.parametrize(("text", "number"), QUANTITIES)
def test_a_quantity_is_a_number(text: str | float, number: float) -> None:
    assert quantity(text) == pytest.approx(number)


@pytest.mark.parametrize("text", ["", "much", "1 Gi", "1GB", "-1"])
def test_what_is_not_a_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a Kubernetes quantity"):
        quantity(text)


def test_a_pod_counts_with_its_containers_or_with_the_most_of_its_start() -> None:
    containers = [container("100m", "64Mi"), container("50m", "64Mi")]
    assert of_pod({"containers": containers}) == Room(150, 128)
    large = [container("400m", "1Mi"), container("10m", "512Mi")]
    assert of_pod({"containers": containers, "initContainers": large}) == Room(400, 512)
    sidecar = container("100m", "8Mi", restartPolicy="Always")
    assert of_pod({"containers": containers, "initContainers": [sidecar]}) == Room(250, 136)
    assert of_pod({"containers": containers, "initContainers": [sidecar, container("200m")]}) == Room(300, 136)
    assert of_pod({"containers": [{"name": "without requests"}]}) == Room()


def test_parts_of_a_unit_count_as_a_whole_one() -> None:
    assert of_pod({"containers": [container("0.0001", "100Ki")]}) == Room(1, 1)


def test_each_kind_counts_at_its_time() -> None:
    scaler = {"scaleTargetRef": {"name": "scaled"}, "minReplicas": 3}
    objects = [
        workload("Deployment", "10m", replicas=2, strategy={"type": "Recreate"}),
        workload("Deployment", "20m", name="scaled"),
        {"kind": "HorizontalPodAutoscaler", "metadata": {"name": "scaled", "namespace": "one"}, "spec": scaler},
        workload("Deployment", "1m", replicas=1, strategy={"rollingUpdate": {"maxSurge": 0}}),
        workload("StatefulSet", "30m", replicas=1),
        workload("DaemonSet", "5m"),
        workload("Job", "70m"),
        workload("Job", "80m"),
        workload("CronJob", "400m"),
        workload("CronJob", "300m"),
        {"kind": "ConfigMap", "metadata": {"name": "it", "namespace": "one"}},
    ]
    expected = Demand(
        steady=Room(20 + 60 + 1 + 30 + 10, 9 * 64),
        surge=Room(20, 64),
        jobs=Room(150, 128),
        scheduled=Room(400, 64),
        largest=Room(400, 64),
    )
    assert demand(objects, nodes=2) == expected
    assert expected.most == Room(521, 12 * 64)


@cache
def asked_by_dev() -> Demand:
    """What the stack requests on one node."""
    return demand(recorded("dev").manifests())


def test_dev_fits_into_two_cpus_beside_kinds_own_pods() -> None:
    """At any time: while it comes up, while everything is released at once, and while a scheduled job runs."""
    [deployment] = [item for item in metrics_server.objects() if item["kind"] == "Deployment"]
    beside = of_pod(deployment["spec"]["template"]["spec"])
    asked = asked_by_dev()
    assert kind_node.taken() == Room(950, 290)
    assert (asked.most + beside).fits(kind_node.free()), (asked, kind_node.free())
    # Not by asking for nothing: the scheduler and the kernel share out processor time by requests.
    assert all(
        of_pod(item["spec"]["template"]["spec"]).milli >= 10
        for item in recorded("dev").manifests()
        if item["kind"] in {"Deployment", "StatefulSet", "DaemonSet", "Job"}
    )


def test_the_document_names_these_sums() -> None:
    text = " ".join((ROOT / "docs" / "platform.md").read_text().split())
    asked = asked_by_dev()
    assert f"kind's own pods request {kind_node.taken().milli}m of CPU" in text
    assert f"`dev` requests {asked.steady.milli}m, and at most {asked.most.milli}m while" in text


def test_a_stack_that_asks_for_more_does_not_fit() -> None:
    objects = recorded("dev").manifests()
    [api] = [item for item in objects if (item["kind"], item["metadata"]["name"]) == ("Deployment", "api")]
    asked = demand([*objects, {**api, "metadata": {**api["metadata"], "name": "second"}}])
    assert not asked.most.fits(kind_node.free())
