"""A recorded stack, applied to a cluster for a test and removed without a trace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from support import crds
from support.kubectl import Answer, Json, Kubectl
from support.recorder import cloud

from ops.stack.recording import Recording

WAIT: Final = "--timeout=60s"
"""How long kubectl waits for anything: simulated pods are Ready as soon as they have a node."""
FIRST: Final = ("Namespace", "PriorityClass", "ServiceAccount", "PersistentVolumeClaim")
NO_PEM: Final = "Warning: tls: failed to find any PEM data in certificate input\n"
"""The warning about Secrets of type kubernetes.io/tls, whose recorded values are stand-ins."""


@dataclass(frozen=True)
class Deployed:
    """A stack's objects as they were applied, and the API server's answer."""

    stack: str
    kubectl: Kubectl
    objects: list[Json]
    answer: Answer

    def of(self, *kinds: str) -> list[Json]:
        """The applied objects of some kinds."""
        return [item for item in self.objects if item["kind"] in kinds]

    def live(self, *kinds: str) -> list[Json]:
        """The cluster's objects of some kinds in the stack's namespaces, except those being deleted."""
        names = {item["metadata"]["name"] for item in self.of("Namespace")}
        return [
            item
            for item in self.kubectl.get(*kinds)
            if item["metadata"]["namespace"] in names and "deletionTimestamp" not in item["metadata"]
        ]


@contextlib.contextmanager
def deployed(kubectl: Kubectl, recording: Recording) -> Iterator[Deployed]:
    """Apply a stack, after what its cloud would have installed; delete everything at the end."""
    objects = in_order(recording.manifests())
    installed = [*crds.definitions(), *crds.permissive(), *_storage_classes(kubectl, objects)]
    try:
        assert kubectl.apply(installed).err == ""
        kubectl.run("wait", "--for=condition=Established", "-f", "-", objects=[*crds.definitions(), *crds.permissive()])
        with _spot_node(kubectl, recording.stack):
            yield Deployed(recording.stack, kubectl, objects, kubectl.apply(objects))
    finally:
        _remove(kubectl, objects)
        kubectl.delete(installed)


def scale(stack: Deployed, bound: str) -> None:
    """Set replicas to the autoscalers' minimum or maximum, since they get no metrics here."""
    for scaler in stack.of("HorizontalPodAutoscaler"):
        target, namespace = scaler["spec"]["scaleTargetRef"], scaler["metadata"]["namespace"]
        name, replicas = f"{target['kind']}/{target['name']}", scaler["spec"][bound]
        stack.kubectl.run("scale", name, "--namespace", namespace, f"--replicas={replicas}")


def settle(stack: Deployed, workloads: Sequence[Json] | None = None) -> None:
    """Wait until every requested replica is Ready, of these workloads or of all."""
    lasting = stack.of("Deployment", "StatefulSet", "DaemonSet") if workloads is None else list(workloads)
    answer = stack.kubectl.attempt("rollout", "status", WAIT, "-f", "-", objects=lasting)
    assert answer.ok, f"{answer.err} {troubles(stack)}"


def unplaced(stack: Deployed) -> dict[str, str]:
    """Why pods have no node."""
    return {
        pod["metadata"]["name"]: condition.get("message", "")
        for pod in stack.live("pods")
        for condition in pod["status"].get("conditions", [])
        if (condition["type"], condition["status"]) == ("PodScheduled", "False")
    }


def troubles(stack: Deployed) -> set[str]:
    """The cluster's warnings, for the message of a failure; that autoscalers have no metrics is none."""
    events = [event for event in stack.live("events") if event["type"] == "Warning" and "Metric" not in event["reason"]]
    return {event["message"] for event in events} | set(unplaced(stack).values())


def in_order(objects: list[Json]) -> list[Json]:
    """The objects, with those that others need first, so that no controller has to try again."""
    return sorted(objects, key=lambda item: FIRST.index(item["kind"]) if item["kind"] in FIRST else len(FIRST))


def _remove(kubectl: Kubectl, objects: list[Json]) -> None:
    """Delete everything: namespaces first, so that nothing is recreated, and pods at once, without a grace period."""
    namespaces = [item for item in objects if item["kind"] == "Namespace"]
    kubectl.run("delete", "--wait=false", "--ignore-not-found", "-f", "-", objects=namespaces)
    for namespace in namespaces:
        at_once = ("--all", "--force", "--grace-period=0", "--wait=false")
        kubectl.run("delete", "pods,persistentvolumeclaims", *at_once, "--namespace", namespace["metadata"]["name"])
    kubectl.delete([*namespaces, *(item for item in objects if "namespace" not in item["metadata"])])


def _storage_classes(kubectl: Kubectl, objects: list[Json]) -> list[Json]:
    """The storage classes that a stack uses but does not bring, with the provisioner of the cluster's default class."""
    known = kubectl.get("storageclasses")
    own = {item["metadata"]["name"] for item in objects if item["kind"] == "StorageClass"}
    by_default = "storageclass.kubernetes.io/is-default-class"
    default = next(item for item in known if item["metadata"].get("annotations", {}).get(by_default) == "true")
    claims = [item for item in objects if item["kind"] == "PersistentVolumeClaim"]
    claims += [claim for item in objects for claim in item.get("spec", {}).get("volumeClaimTemplates", [])]
    used = {claim["spec"].get("storageClassName") for claim in claims} - {None}
    return [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": default["provisioner"],
            "volumeBindingMode": "WaitForFirstConsumer",
        }
        for name in sorted(used - own - {item["metadata"]["name"] for item in known})
    ]


@contextlib.contextmanager
def _spot_node(kubectl: Kubectl, stack: str) -> Iterator[None]:
    """Label and taint one node as a spot node, where the stack's cloud has spot nodes."""
    spot = cloud(stack).spot
    if spot is None:
        yield
        return
    node = kubectl.get("nodes")[-1]["metadata"]["name"]
    (label, value), (taint, tainted) = spot.label, spot.taint
    try:
        kubectl.run("label", "node", node, f"{label}={value}", "--overwrite")
        kubectl.run("taint", "node", node, f"{taint}={tainted}:NoSchedule", "--overwrite")
        yield
    finally:
        kubectl.run("label", "node", node, f"{label}-")
        kubectl.run("taint", "node", node, f"{taint}-")
