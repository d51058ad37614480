"""A stand-in for the few questions that commands ask with kubectl, answered from the clusters of the kind stand-in.

A cluster of kind has one node, a default storage class that cannot grow, and kindnet; it has the metrics API only once
that was applied. Any other question, kind of object or option is refused.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from support.shims.state import Json, fail, kubeconfig, note, options, stored

VALUED = (
    "--context", "--request-timeout", "--output", "--raw", "--selector", "--namespace", "--timeout", "--field-manager",
    "-f",
)  # fmt: skip
FLAGS = ("--all-namespaces", "--server-side")
GROUPS = {
    "nodes": "", "pods": "", "services": "", "deployments": "apps", "statefulsets": "apps", "daemonsets": "apps",
    "storageclasses": "storage.k8s.io", "apiservices": "apiregistration.k8s.io",
}  # fmt: skip
"""The kinds of objects that commands list, and the API group of each."""
PART_OF = {"app.kubernetes.io/part-of": "churn"}
METRICS = "v1beta1.metrics.k8s.io"
SIZE = {"cpu": "8", "memory": "16Gi", "pods": "110"}


def main(words: list[str]) -> None:
    note(words)
    values, others = options(words, *VALUED, flags=FLAGS)
    server = address(values.get("--context") or kubeconfig()["current-context"])
    with stored("clusters") as clusters:
        cluster: Json | None = next((c for c in clusters.values() if c["server"] == server and c["running"]), None)
        if cluster is None:
            fail(f"The connection to the server {server} was refused - did you specify the right host or port?")
        answer(cluster, values, others)


def answer(cluster: Json, values: Json, others: list[str]) -> None:
    match others, values:
        case ["get"], {"--raw": "/readyz"}:
            sys.stdout.write("ok")
        case ["get"], {"--raw": path} if path.removeprefix("/apis/").startswith("metrics.k8s.io/") and cluster["apis"]:
            sys.stdout.write("{}")
        case ["get"], {"--raw": _}:
            fail("Error from server (NotFound): the server could not find the requested resource")
        case ["get", "namespace", "kube-system"], {"--output": "jsonpath={.metadata.uid}"}:
            sys.stdout.write(cluster["uid"])
        case ["get", kinds], {"--output": "json", "--all-namespaces": True}:
            asked_for = {plural_of(kind) for kind in kinds.split(",")}
            labels = selected(values.get("--selector", ""))
            every = [item for plural, item in objects(cluster) if plural in asked_for]
            shown = [item for item in every if labels.items() <= item["metadata"].get("labels", {}).items()]
            sys.stdout.write(json.dumps({"apiVersion": "v1", "kind": "List", "items": shown}))
        case ["apply"], {"-f": "-", "--server-side": True}:
            names = {item["metadata"]["name"] for item in json.load(sys.stdin)["items"]}
            cluster["apis"] = sorted(names & {METRICS})
        case ["rollout", "status", name], {"--namespace": namespace}:
            names = {
                f"{item['kind'].lower()}/{item['metadata']['name']}"
                for _, item in objects(cluster)
                if item["metadata"].get("namespace") == namespace
            }
            if name not in names:
                kind, _, word = name.partition("/")
                fail(f'Error from server (NotFound): {kind}s.apps "{word}" not found')
            if name in cluster.get("unready", []):
                fail("error: timed out waiting for the condition")
        case _:
            fail(f"error: the stand-in for kubectl does not know: {' '.join(others)} {values}")


def plural_of(kind: str) -> str:
    """The plural of a kind, which may be followed by its API group."""
    plural, dot, group = kind.partition(".")
    if plural not in GROUPS or (dot and group != GROUPS[plural]):
        fail(f'error: the server doesn\'t have a resource type "{kind}"')
    return plural


def selected(selector: str) -> dict[str, str]:
    """The labels of a selector, of which only `LABEL=VALUE` is known."""
    terms = [term.partition("=") for term in selector.split(",") if term]
    if not all(label and equals and value for label, equals, value in terms):
        fail(f"error: the stand-in for kubectl does not know the selector {selector!r}")
    return {label: value for label, _, value in terms}


def objects(cluster: Json) -> Iterator[tuple[str, Json]]:
    """The objects of a cluster with the plural of their kind: as much of them as anybody looks at."""

    def item(kind: str, name: str, **more: Any) -> Json:
        return {"kind": kind, "metadata": {"name": name, **more.pop("metadata", {})}, **more}

    architecture = {"architecture": "amd64", "kubeletVersion": "v1.36.4"}
    ready = [{"type": "Ready", "status": "True"}]
    size = cluster.get("size", SIZE)
    status = {"allocatable": size, "capacity": size, "nodeInfo": architecture, "conditions": ready}
    yield "nodes", item("Node", "churn-control-plane", spec={}, status=status)
    default = {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    yield "storageclasses", item("StorageClass", "standard", metadata=default, provisioner="rancher.io/local-path")
    containers = [{"name": "kindnet-cni", "image": "docker.io/kindest/kindnetd:v20250512-df8de77b"}]
    spec = {"template": {"spec": {"containers": containers}}}
    yield "daemonsets", item("DaemonSet", "kindnet", metadata={"namespace": "kube-system"}, spec=spec)
    for name in cluster["apis"]:
        available = {"conditions": [{"type": "Available", "status": "True"}]}
        yield "apiservices", item("APIService", name, status=available)
    if cluster["objects"]:
        where = {"namespace": "churn-mlops", "labels": PART_OF}
        yield "deployments", item("Deployment", "mlflow", metadata=where)


def address(context: str) -> str:
    """The server of a context."""
    config = kubeconfig()
    names = {item["name"]: item["context"]["cluster"] for item in config["contexts"]}
    if context not in names:
        fail(f'error: context "{context}" does not exist' if context else "error: current-context is not set")
    servers = {item["name"]: item["cluster"]["server"] for item in config["clusters"]}
    return str(servers[names[context]])
