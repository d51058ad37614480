"""A small cluster, and questions to the evaluator of network policies about who may connect to whom in it."""

from __future__ import annotations

from typing import Any, Final

from support.network_policies import Cluster, External

Json = dict[str, Any]

WEB: Final = {"name": "web", "containerPort": 8080}


def namespace(name: str, **labels: str) -> Json:
    """Return a Namespace with these labels."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def workload(name: str, *ports: Json, ns: str = "one", kind: str = "Deployment", host: bool = False) -> Json:
    """Return a workload whose pods have these ports, on the host's network with ``host``."""
    pod = {
        "metadata": {"labels": {"app": name, "tier": "back" if ports else "front"}},
        "spec": {"hostNetwork": host, "containers": [{"name": "main", "ports": list(ports)}]},
    }
    spec = {"jobTemplate": {"spec": {"template": pod}}} if kind == "CronJob" else {"template": pod}
    return {"kind": kind, "metadata": {"name": name, "namespace": ns}, "spec": spec}


def policy(app: str | None, *, ns: str = "one", **spec: Any) -> Json:
    """Return a NetworkPolicy for the pods of one app, or of all with None."""
    selector = {} if app is None else {"matchLabels": {"app": app}}
    return {
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": ns},
        "spec": {"podSelector": selector} | spec,
    }


def app(name: str) -> Json:
    """Return the peer that selects the pods of one app."""
    return {"podSelector": {"matchLabels": {"app": name}}}


BASE: Final = [
    namespace("one", team="blue"),
    namespace("two", team="red"),
    workload("a"),
    workload("b", WEB, {"name": "dns", "containerPort": 53, "protocol": "UDP"}),
    workload("c", {"name": "web", "containerPort": 9090}, ns="two", kind="StatefulSet"),
    workload("d", ns="two", kind="CronJob"),
    workload("node", {"name": "metrics", "containerPort": 9100}, kind="DaemonSet", host=True),
]
OUTSIDE: Final = External.of("198.51.100.7/32")


def ask(*policies: Json, source: str = "one/a", target: str = "one/b", port: int = 8080, protocol: str = "TCP") -> bool:
    """Return whether one pod may connect to another under these policies."""
    cluster = Cluster.of([*BASE, *policies])
    return cluster.allows(cluster.pod(source), cluster.pod(target), port, protocol)


def outward(*policies: Json, source: str = "one/a", target: External = OUTSIDE, port: int = 443) -> bool:
    """Return whether a pod may connect to an address outside."""
    cluster = Cluster.of([*BASE, *policies])
    return cluster.allows(cluster.pod(source), target, port)


def inward(*policies: Json, source: External = OUTSIDE, target: str = "one/b", port: int = 8080) -> bool:
    """Return whether an address outside may connect to a pod."""
    cluster = Cluster.of([*BASE, *policies])
    return cluster.allows(source, cluster.pod(target), port)
