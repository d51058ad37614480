"""Deployments and Services: how long Pulumi's Kubernetes provider waits for them, which is not always to the end.

The rules are those of provider/pkg/await/{deployment,service}.go in pulumi-kubernetes. Where they depend on which of
two events is seen first, the earlier end is taken: what a test sees after `up` is no more than what a user gets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.engine.cluster import Manifest

Get = Callable[..., Any]
REVISION = "deployment.kubernetes.io/revision"
SETTLE_SECONDS = 10
"""How long after a change of its endpoints a Service can be done at the earliest."""


def observed(live: Manifest) -> bool:
    """Whether the object's controller has seen its current form."""
    return bool(live.get("status", {}).get("observedGeneration", 0) >= live["metadata"]["generation"])


class Deployment:
    """The wait for one operation on a Deployment.

    It looks at the ReplicaSet of the revision that the Deployment names. Where old pods end first (`Recreate`), that is
    the old one until they have ended: none of its pods is wanted any more, so it counts as complete. The condition
    Available would hold the wait back, but it changes a moment later. The provider may see that or not; here the wait
    ends. That a rollout exceeded its deadline does not end the wait either.
    """

    def __init__(self, before: Manifest | None, get: Get) -> None:
        self._before = _revision(before) if before is not None else None
        self._get = get

    def missing(self, live: Manifest) -> str | None:
        """What it still lacks; None if the provider is done."""
        if not observed(live):
            return "the controller has not seen it"
        revision = _revision(live)
        replica_set = self._replica_set(live, revision)
        if revision is None or replica_set is None:
            return "it has no ReplicaSet yet"
        desired = replica_set["spec"].get("replicas", 1)
        if desired == 0 and revision == self._before:
            return self._unbound(live)
        ready = replica_set.get("status", {}).get("readyReplicas", 0)
        if ready < desired:
            return f"{ready} of {desired} pods of revision {revision} are ready{_complaints(live)}"
        return self._unfinished(live, revision) or self._unbound(live)

    def _unfinished(self, live: Manifest, revision: str) -> str | None:
        conditions = {condition["type"]: condition for condition in live["status"].get("conditions", ())}
        if conditions.get("Available", {}).get("status") != "True":
            return "it is not available"
        progress = conditions.get("Progressing", {})
        rolled = (progress.get("status"), progress.get("reason")) == ("True", "NewReplicaSetAvailable")
        if revision != "1" and not rolled:
            return f"it is still rolling out{_complaints(live)}"
        return None

    def _replica_set(self, live: Manifest, revision: str | None) -> Manifest | None:
        metadata = live["metadata"]
        path = f"/apis/apps/v1/namespaces/{metadata['namespace']}/replicasets"
        for item in self._get(path)["items"]:
            owners = {owner["uid"] for owner in item["metadata"].get("ownerReferences", ())}
            if metadata["uid"] in owners and _revision(item) == revision:
                return dict(item)
        return None

    def _unbound(self, live: Manifest) -> str | None:
        namespace = live["metadata"]["namespace"]
        for volume in live["spec"]["template"]["spec"].get("volumes", ()):
            name = volume.get("persistentVolumeClaim", {}).get("claimName")
            if name:
                claim = self._get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}")
                if claim["status"].get("phase") != "Bound":
                    return f"the claim {name} is {claim['status'].get('phase')}"
        return None


class Service:
    """The wait for one operation on a Service: at least ten seconds, and until no endpoint is unready.

    Each change of the endpoints starts ten seconds at whose end they count as settled, and earlier ones run on. Then no
    endpoint may be unready; that there is none at all is fine (PR 3142). A headless Service is not waited for.
    """

    def __init__(self, get: Get, now: Callable[[], float]) -> None:
        self._get, self._now = get, now
        self._changes: list[float] = []
        self._seen: Any = None

    def missing(self, live: Manifest) -> str | None:
        """What it still lacks; None if the provider is done."""
        spec = live["spec"]
        if spec["type"] == "ExternalName" or not spec.get("selector") or spec.get("clusterIP") == "None":
            return None
        endpoints, now = self._endpoints(live), self._now()
        if endpoints != self._seen:
            self._seen = endpoints
            self._changes.append(now)
        unready = sum(not ready for _address, ready in endpoints)
        if unready:
            return f"{unready} of its {len(endpoints)} pods are not ready"
        last = self._changes[-1]
        if not any(last <= change + SETTLE_SECONDS <= now for change in self._changes):
            return "its pods have only just changed"
        if spec["type"] == "LoadBalancer" and not live["status"].get("loadBalancer", {}).get("ingress"):
            return "it has no address"
        return None

    def _endpoints(self, live: Manifest) -> list[tuple[str, bool]]:
        """Address and readiness of each pod.

        The provider reads the older Endpoints (issue 3623), which have no pod that is ending; slices do.
        """
        name, namespace = live["metadata"]["name"], live["metadata"]["namespace"]
        slices = self._get(
            f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
            labelSelector=f"kubernetes.io/service-name={name}",
        )["items"]
        return sorted(
            (address, bool(endpoint["conditions"].get("ready")))
            for item in slices
            for endpoint in item.get("endpoints") or ()
            if not endpoint["conditions"].get("terminating")
            for address in endpoint["addresses"]
        )


def _revision(item: Manifest) -> str | None:
    revision = item["metadata"].get("annotations", {}).get(REVISION)
    return None if revision is None else str(revision)


def _complaints(live: Manifest) -> str:
    """What the controller says of a rollout that does not progress; it is shown only once the time is up."""
    conditions = live.get("status", {}).get("conditions", ())
    return "".join(
        f"; {condition.get('message', '')}"
        for condition in conditions
        if (condition["type"], condition["status"]) == ("Progressing", "False")
    )
