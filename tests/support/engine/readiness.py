"""When an object counts as ready, by the rules of Pulumi's Kubernetes provider."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from support.engine.awaited import Deployment, Service, observed
from support.engine.cluster import Manifest
from support.engine.provider import ProviderError

Awaiter = Callable[[Manifest], str | None]
Get = Callable[..., Any]
SECONDS = 600
"""How long to wait where no annotation says otherwise."""


def awaiter(before: Manifest | None, get: Get, now: Callable[[], float] = time.monotonic) -> Awaiter:
    """What says of the live object what it still lacks, or None once `pulumi up` goes on; for one operation.

    ``before`` is the object as it was before the operation, None if there was none. The result raises a
    ``ProviderError`` if the object can never become ready.
    """
    deployment, service = Deployment(before, get), Service(get, now)

    def missing(live: Manifest) -> str | None:
        kind = live["kind"]
        if kind == "Deployment":
            return deployment.missing(live)
        if kind == "Service":
            return service.missing(live)
        rule = _RULES.get(kind)
        return None if rule is None else rule(live, get)

    return missing


def troubles(manifest: Manifest, get: Get) -> str:
    """The warnings among the namespace's events, for the message of a failure."""
    namespace = manifest["metadata"].get("namespace")
    if namespace is None:
        return ""
    events = get(f"/api/v1/namespaces/{namespace}/events", fieldSelector="type=Warning")["items"]
    lines = {f"{event['involvedObject'].get('name')}: {event.get('message', '')}" for event in events}
    return "".join(f"\n  {line}" for line in sorted(lines)[-10:])


def _stateful_set(live: Manifest, _get: Get) -> str | None:
    status = live.get("status", {})
    replicas, ready, updated = (
        live["spec"]["replicas"],
        status.get("readyReplicas", 0),
        status.get("updatedReplicas", 0),
    )
    # After a rolling update, the current revision is the new one.
    rolled = status.get("currentRevision") == status.get("updateRevision")
    if not observed(live) or ready < replicas or updated < replicas or not rolled:
        return f"{ready} of {replicas} pods are ready, {updated} are new"
    return None


def _daemon_set(live: Manifest, _get: Get) -> str | None:
    status = live.get("status", {})
    scheduled = status.get("desiredNumberScheduled", 0)
    available, updated = status.get("numberAvailable", 0), status.get("updatedNumberScheduled", 0)
    if not observed(live) or not scheduled or available < scheduled or updated < scheduled:
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
    "Ingress": _ingress,
    "Job": _job,
    "PersistentVolumeClaim": _claim,
    "StatefulSet": _stateful_set,
}
