"""Prod on simulated nodes with one zone closed: what is to survive that keeps its minimum, and comes up elsewhere.

A pod of a simulated node is Ready as soon as it has one, so this is about placement and disruption budgets alone. What
has a pod in every zone waits for the closed one, since it is spread evenly by force; a volume of a real cloud keeps its
pod in its zone too, which simulated volumes do not show.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from recorder import recorded
from support.deployed import Deployed, deployed
from support.kubectl import Json, Kubectl
from support.servers import wait_until

from infra.kit.pod import ZONE

pytestmark = pytest.mark.cluster

SURVIVORS = frozenset({"api", "ingress", "mlflow", "grafana", "prometheus", "alertmanager", "thanos-query"})
SETTLE_SECONDS = 120.0


@pytest.fixture(scope="module")
def prod(cluster: Kubectl) -> Iterator[Deployed]:
    with deployed(cluster, recorded("prod")) as made:
        for scaler in made.of("HorizontalPodAutoscaler"):  # no metrics here: its work is done by hand
            target, space = scaler["spec"]["scaleTargetRef"], scaler["metadata"]["namespace"]
            count = scaler["spec"]["minReplicas"]
            cluster.run("scale", f"{target['kind']}/{target['name']}", f"--namespace={space}", f"--replicas={count}")
        wait_until(lambda: all_ready(made), "every replica is Ready", SETTLE_SECONDS)
        yield made


def controllers(stack: Deployed) -> dict[str, Json]:
    """Survivors' Deployments and StatefulSets as they are now, by name."""
    found = {item["metadata"]["name"]: item for item in stack.live("deployments", "statefulsets")}
    return {name: found[name] for name in SURVIVORS}


def all_ready(stack: Deployed) -> bool:
    return all(
        item["status"].get("readyReplicas", 0) == item["spec"]["replicas"] for item in controllers(stack).values()
    )


def budgets(stack: Deployed) -> dict[str, Json]:
    """Status of each survivor's budget, by the workload it is for."""
    found = {item["metadata"]["name"]: item["status"] for item in stack.live("poddisruptionbudgets")}
    return {name: found[name] for name in SURVIVORS}


def pods(stack: Deployed, name: str) -> list[Json]:
    controller = controllers(stack)[name]
    wanted = controller["spec"]["selector"]["matchLabels"].items()
    space = controller["metadata"]["namespace"]
    return [
        pod
        for pod in stack.live("pods")
        if pod["metadata"]["namespace"] == space and wanted <= pod["metadata"].get("labels", {}).items()
    ]


def evict(stack: Deployed, pod: Json) -> bool:
    """Ask for an eviction as a drain does; False where a budget forbids it for now, or it has gone."""
    name, space = pod["metadata"]["name"], pod["metadata"]["namespace"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": space}}
    path = f"/api/v1/namespaces/{space}/pods/{name}/eviction"
    answer = stack.kubectl.attempt("create", f"--raw={path}", "-f", "-", single=body)
    if not answer.ok:
        assert "disruption budget" in answer.err or "not found" in answer.err, answer.err
    return answer.ok


@pytest.fixture(scope="module")
def closed(prod: Deployed) -> Iterator[set[str]]:
    """Names of the nodes of a zone that takes no pods: of the one that most of the survivors' pods are in."""
    zones: dict[str, set[str]] = {}
    for node in prod.kubectl.get("nodes"):
        zones.setdefault(node["metadata"]["labels"][ZONE], set()).add(node["metadata"]["name"])
    where = [pod["spec"].get("nodeName") for name in SURVIVORS for pod in pods(prod, name)]
    nodes = max(zones.values(), key=lambda names: sum(node in names for node in where))
    try:
        prod.kubectl.run("cordon", *sorted(nodes))
        yield nodes
    finally:
        prod.kubectl.run("uncordon", *sorted(nodes))


def test_every_survivor_has_a_budget_that_lets_one_go(prod: Deployed) -> None:
    assert {name: status["disruptionsAllowed"] for name, status in budgets(prod).items()} == dict.fromkeys(SURVIVORS, 1)


def test_a_lost_zone_leaves_each_its_minimum_and_what_may_move_moves(prod: Deployed, closed: set[str]) -> None:
    doomed = {
        pod["metadata"]["uid"]: pod
        for name in SURVIVORS
        for pod in pods(prod, name)
        if pod["spec"].get("nodeName") in closed
    }
    assert doomed, "nothing was in the zone, so nothing is shown"
    below: list[str] = []

    def drained() -> bool:
        there = {pod["metadata"]["uid"] for name in SURVIVORS for pod in pods(prod, name)}
        left = [pod for uid, pod in doomed.items() if uid in there]
        for pod in left:
            evict(prod, pod)
            status = budgets(prod)
            below.extend(name for name, its in status.items() if its["currentHealthy"] < its["desiredHealthy"])
        return not left

    wait_until(drained, "every pod has left the zone", SETTLE_SECONDS)
    assert not below
    zones = len({node["metadata"]["labels"][ZONE] for node in prod.kubectl.get("nodes")})
    movable = [
        name
        for name, item in controllers(prod).items()
        if item["kind"] == "Deployment" and item["spec"]["replicas"] < zones
    ]
    assert movable
    wait_until(
        lambda: all(elsewhere(prod, name, closed) for name in movable), "the moved pods are Ready", SETTLE_SECONDS
    )
    short = [name for name, its in budgets(prod).items() if its["currentHealthy"] < its["desiredHealthy"]]
    assert not short

    prod.kubectl.run("uncordon", *sorted(closed))
    wait_until(lambda: all_ready(prod), "with the zone back every replica is Ready", SETTLE_SECONDS)


def elsewhere(stack: Deployed, name: str, closed: set[str]) -> bool:
    """Whether each replica that is asked for is Ready, and none in the closed zone."""
    item = controllers(stack)[name]
    nodes = [pod["spec"].get("nodeName") for pod in pods(stack, name)]
    ready = item["status"].get("readyReplicas", 0) == item["spec"]["replicas"] == len(nodes)
    return ready and None not in nodes and not closed & set(nodes)
