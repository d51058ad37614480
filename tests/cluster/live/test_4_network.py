"""Connections between the real pods succeed or fail exactly as the policies in the cluster say.

Running pods get an ephemeral container, which shares their network; scheduled jobs are represented by a pod of their
template that only waits. Each pod also listens on a port that no edge names, so that only a policy can refuse it.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import network_policies as policies
from support.kubectl import Json
from support.live import Live
from support.outside import INTERNET, METADATA, PORTS, outside
from support.servers import wait_until

from infra import naming as n
from infra.naming import Workload

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]

SPARE = 10080
PROBE = (Path(__file__).parents[2] / "support" / "probe.py").read_text()
LISTEN = (
    "import http.server as h, signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit()); "
    f"h.HTTPServer(('', {SPARE}), h.BaseHTTPRequestHandler).serve_forever()"
)
"""A server that ends on SIGTERM, since a pod waits for all of its containers."""
RUNNING = (
    n.API, n.CACHE, n.MLFLOW, n.POSTGRES, n.INGRESS, n.PROMETHEUS, n.ALERTMANAGER, n.GRAFANA, n.PUSHGATEWAY,
    n.KUBE_STATE_METRICS, n.NODE_EXPORTER, n.BLACKBOX, n.POSTGRES_EXPORTER,
)  # fmt: skip
SCHEDULED = {
    n.TRAINING: "training", n.BACKUP: "backup-postgres", n.DRILL: "drill", n.MLFLOW_GC: "mlflow-gc",
    n.RESTORE: "restore-databases",
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A pod from which connections are tried, and its container that has a Python."""

    workload: Workload
    pod: Json
    container: str

    @property
    def address(self) -> str:
        return str(self.pod["status"]["podIP"])

    @property
    def name(self) -> str:
        return str(self.pod["metadata"]["name"])


def waiting(live: Live, workload: Workload) -> Json:
    """A pod as the workload's job would create it, which waits instead of working."""
    if workload is n.MLFLOW_MIGRATE:
        jobs = live.kubectl.get("jobs", namespace=workload.namespace)
        (spec,) = (job["spec"] for job in jobs if job["metadata"]["labels"]["app.kubernetes.io/name"] == workload.name)
    else:
        spec = live.object("cronjob", workload, SCHEDULED[workload])["spec"]["jobTemplate"]["spec"]
    template = copy.deepcopy(spec["template"])
    template["spec"]["terminationGracePeriodSeconds"] = 1
    template["spec"].pop("initContainers", None)  # steps that would do something
    container = template["spec"]["containers"][0]
    container["command"], container["args"] = ["python", "-c", LISTEN], []
    # It does nothing, and pods from the earlier load test may have taken the whole of a small node.
    container["resources"]["requests"]["cpu"] = "1m"
    labels = {key: value for key, value in template["metadata"]["labels"].items() if "job-name" not in key}
    labels = {key: value for key, value in labels.items() if "controller-uid" not in key}
    metadata = {"name": f"waiting-{workload.name}", "namespace": workload.namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@pytest.fixture(scope="module")
def places(live: Live) -> Iterator[list[Place]]:
    """Every running pod, and one waiting pod for each kind of job."""
    image = live.object("cronjob", n.DRILL)["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"]
    running = [(workload, pod) for workload in RUNNING for pod in live.ready(workload)]
    for workload, pod in running:
        target = (pod["metadata"]["name"], "--namespace", workload.namespace)
        options = ("--profile=restricted", f"--image={image}", "--container=probe")
        live.kubectl.run("debug", *target, *options, "--", "python", "-c", LISTEN)
    pods = [waiting(live, workload) for workload in (*SCHEDULED, n.MLFLOW_MIGRATE)]
    try:
        live.kubectl.run("create", "-f", "-", objects=pods)
        live.kubectl.run("wait", "--for=condition=Ready", "--timeout=120s", "-f", "-", objects=pods)
        all_places = [Place(workload, pod, "probe") for workload, pod in running]
        all_places += [
            Place(workload, live.object("pod", workload, f"waiting-{workload.name}"), workload.name)
            for workload in (*SCHEDULED, n.MLFLOW_MIGRATE)
        ]
        for place in all_places:
            wait_until(functools.partial(listens, live, place), f"{place.name} listens, as it sees itself")
        yield all_places
    finally:
        live.kubectl.delete(pods)


def listens(live: Live, place: Place) -> bool:
    return tried(live, place, [("127.0.0.1", SPARE)]) == [True]


def tried(live: Live, place: Place, targets: list[tuple[str, int]]) -> list[bool]:
    """Which of the targets a pod can connect to."""
    where = ["--namespace", place.workload.namespace, "--container", place.container]
    words = [live.kubectl.program, "exec", "-i", place.name, *where, "--", "python", "-c", PROBE]
    answer: list[bool] = json.loads(live.output(words, json.dumps(targets)))
    return answer


@dataclass(frozen=True)
class Question:
    """One connection to try, and whether the policies allow it."""

    name: str
    address: str
    port: int
    allowed: bool


def questions(live: Live, place: Place, places: list[Place], truth: policies.Cluster) -> list[Question]:
    """Connections to every other pod, on declared ports and on one that is not, and to addresses outside."""
    own = truth.pod(f"{place.workload.namespace}/{place.name}")
    connections = []
    for target in places:
        if target.name == place.name:
            continue
        other = truth.pod(f"{target.workload.namespace}/{target.name}")
        ports = {*target.workload.ports.values(), SPARE}
        if len(live.pods(target.workload)) == 1:
            ports -= {n.ALERTMANAGER.ports["mesh"]}  # a single replica has no mesh and does not listen
        connections += [
            Question(f"{target.workload.name}:{port}", target.address, port, truth.allows(own, other, port))
            for port in sorted(ports)
        ]
    node = live.kubectl.get("nodes")[0]["status"]["addresses"][0]["address"]
    beyond = [(address, port) for address in (INTERNET, METADATA) for port in PORTS] + [(node, 10250), (node, 6443)]
    for address, port in beyond:
        there = policies.External.of(f"{address}/32")
        connections.append(Question(f"{address}:{port}", address, port, truth.allows(own, there, port)))
    return connections


def as_one_pod(place: Place) -> Json:
    labels = place.pod["metadata"]["labels"]
    metadata = {"name": place.name, "namespace": place.workload.namespace, "labels": labels}
    return {"kind": "Pod", "metadata": metadata, "spec": {"containers": place.pod["spec"]["containers"]}}


def test_every_declared_edge_connects_and_every_other_is_refused(live: Live, places: list[Place]) -> None:
    objects = live.kubectl.get("namespaces") + live.kubectl.get("networkpolicies")
    truth = policies.Cluster.of([*objects, *map(as_one_pod, places)])
    wrong, asked, open_ways = [], 0, 0
    with outside():
        for place in places:
            tries = questions(live, place, places, truth)
            answers = tried(live, place, [(question.address, question.port) for question in tries])
            asked, open_ways = asked + len(tries), open_ways + sum(answers)
            wrong += [
                f"{place.workload.name} -> {question.name}: {'connected' if answer else 'refused'}"
                for question, answer in zip(tries, answers, strict=True)
                if answer != question.allowed
            ]
    live.figures["connections tried between pods and to the outside"] = f"{asked}, {open_ways} of them allowed"
    assert wrong == []
    assert 30 < open_ways < asked / 4


def test_every_pod_finds_names(live: Live, places: list[Place]) -> None:
    resolve = "import socket; print(socket.gethostbyname('mlflow.churn-mlops.svc.cluster.local'))"
    for place in places:
        where = ["--namespace", place.workload.namespace, "--container", place.container]
        assert live.execute(place.name, where, ("python", "-c", resolve)).strip().startswith("10.")
