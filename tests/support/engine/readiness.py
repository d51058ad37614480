"""When an object counts as ready, by the rules of Pulumi's Kubernetes provider."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.engine.cluster import Manifest
from support.engine.provider import ProviderError

Get = Callable[..., Any]
SECONDS = 600
"""How long to wait where no annotation says otherwise."""


def missing(live: Manifest, get: Get) -> str | None:
    """What an object still lacks; None if it is ready.

    Raises:
        ProviderError: it can never become ready.
    """
    rule = _RULES.get(live["kind"])
    return None if rule is None else rule(live, get)


def troubles(manifest: Manifest, get: Get) -> str:
    """The warnings among the namespace's events, for the message of a failure."""
    namespace = manifest["metadata"].get("namespace")
    if namespace is None:
        return ""
    events = get(f"/api/v1/namespaces/{namespace}/events", fieldSelector="type=Warning")["items"]
    lines = {f"{event['involvedObject'].get('name')}: {event.get('message', '')}" for event in events}
    return "".join(f"\n  {line}" for line in sorted(lines)[-10:])


def _observed(live: Manifest) -> bool:
    return bool(live.get("status", {}).get("observedGeneration", 0) >= live["metadata"]["generation"])


def _deployment(live: Manifest, _get: Get) -> str | None:
    status = live.get("status", {})
    if not _observed(live):
        return "the controller has not seen it"
    for condition in status.get("conditions", ()):
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            raise ProviderError(f"Deployment {live['metadata']['name']}: {condition['message']}")
    replicas, updated = live["spec"]["replicas"], status.get("updatedReplicas", 0)
    available, present = status.get("availableReplicas", 0), status.get("replicas", 0)
    if updated < replicas or available < updated or present > updated:
        return f"{available} of {replicas} pods are available, {updated} are new, {present} exist"
    return None


def _stateful_set(live: Manifest, _get: Get) -> str | None:
    status = live.get("status", {})
    replicas, ready, updated = (
        live["spec"]["replicas"],
        status.get("readyReplicas", 0),
        status.get("updatedReplicas", 0),
    )
    # After a rolling update, the current revision is the new one.
    rolled = status.get("currentRevision") == status.get("updateRevision")
    if not _observed(live) or ready < replicas or updated < replicas or not rolled:
        return f"{ready} of {replicas} pods are ready, {updated} are new"
    return None


def _daemon_set(live: Manifest, _get: Get) -> str | None:
    status = live.get("status", {})
    scheduled = status.get("desiredNumberScheduled", 0)
    available, updated = status.get("numberAvailable", 0), status.get("updatedNumberScheduled", 0)
    if not _observed(live) or not scheduled or available < scheduled or updated < scheduled:
        return f"{available} of {scheduled} pods are available, {updated} are new"
    return None


def completed(job: Manifest) -> bool:
    """Whether a Job is complete: failed, suspended and running ones are not."""
    conditions = job.get("status", {}).get("conditions", ())
    return any((condition["type"], condition["status"]) == ("Complete", "True") for condition in conditions)


def _job(live: Manifest, _get: Get) -> str | None:
    for condition in live.get("status", {}).get("conditions", ()):
        if condition["status"] == "True" and condition["type"] == "Failed":
            raise ProviderError(f"Job {live['metadata']['name']} failed: {condition.get('message', '')}")
        if condition["status"] == "True" and condition["type"] == "Complete":
            return None
    return "it is not complete"


def _service(live: Manifest, get: Get) -> str | None:
    spec = live["spec"]
    if spec["type"] == "ExternalName" or not spec.get("selector") or spec.get("clusterIP") == "None":
        return None
    name, namespace = live["metadata"]["name"], live["metadata"]["namespace"]
    slices = get(
        f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
        labelSelector=f"kubernetes.io/service-name={name}",
    )["items"]
    endpoints = [endpoint for item in slices for endpoint in item.get("endpoints") or ()]
    if not any(endpoint["conditions"].get("ready") for endpoint in endpoints):
        return "no pod behind it is ready"
    if spec["type"] == "LoadBalancer" and not live["status"].get("loadBalancer", {}).get("ingress"):
        return "it has no address"
    return None


def _claim(live: Manifest, get: Get) -> str | None:
    if live["status"].get("phase") == "Bound":
        return None
    name = live["spec"].get("storageClassName")
    if name:
        storage_class = get(f"/apis/storage.k8s.io/v1/storageclasses/{name}")
        if storage_class.get("volumeBindingMode") == "WaitForFirstConsumer":
            return None
    return f"it is {live['status'].get('phase')}"


def _ingress(live: Manifest, _get: Get) -> str | None:
    return None if live["status"].get("loadBalancer", {}).get("ingress") else "it has no address"


_RULES: dict[str, Callable[[Manifest, Get], str | None]] = {
    "DaemonSet": _daemon_set,
    "Deployment": _deployment,
    "Ingress": _ingress,
    "Job": _job,
    "PersistentVolumeClaim": _claim,
    "Service": _service,
    "StatefulSet": _stateful_set,
}
