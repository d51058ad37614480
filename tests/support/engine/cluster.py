"""Where the Kubernetes stand-in stores its objects: a protocol, and an implementation in memory."""

from __future__ import annotations

import base64
import copy
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from support.engine.provider import ProviderError, UnreadyError

Manifest = dict[str, Any]

# Kinds of this project that are in no namespace.
CLUSTER_SCOPED = frozenset(
    {
        "ClusterRole",
        "ClusterRoleBinding",
        "IngressClass",
        "Namespace",
        "PriorityClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
)
NAME_LABEL = "app.kubernetes.io/name"
BUILT_IN_NAMESPACES = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})


@dataclass(frozen=True, order=True)
class Key:
    """The identity of an object at the API server, without the version of its kind."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Self:
        """The key of a manifest's object."""
        metadata = manifest["metadata"]
        namespace = "" if manifest["kind"] in CLUSTER_SCOPED else metadata.get("namespace", "default")
        return cls(manifest["kind"], namespace, metadata["name"])

    def __str__(self) -> str:
        """The provider's identity of the object: with its namespace, if it has one."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Cluster(Protocol):
    """What the Kubernetes stand-in needs from a cluster; each refusal is a ``ProviderError``."""

    def create(self, manifest: Manifest) -> Manifest:
        """Create the object, which must not exist; return it as the cluster stores it."""

    def update(self, manifest: Manifest) -> Manifest:
        """Replace the declared fields of an existing object."""

    def delete(self, manifest: Manifest) -> None:
        """Delete the object with this kind and name; one that is gone already is no error."""

    def read(self, manifest: Manifest) -> Manifest | None:
        """The object with this kind and name as the cluster stores it, or None."""


class MemoryCluster:
    """A stand-in for an API server without controllers: objects are stored as sent, and nothing runs.

    It has those of the real rules that decide whether a deployment converges: names are unique within a kind and
    namespace, and a namespace exists before its objects and is deleted together with them. A Job ends at once:
    complete, or failed if its workload is one of ``failing``.
    """

    def __init__(self) -> None:
        self.objects: dict[Key, Manifest] = {}
        self.failing: set[str] = set()
        """Workloads whose Jobs fail, by the label `app.kubernetes.io/name`."""
        self._lock = threading.Lock()

    def create(self, manifest: Manifest) -> Manifest:
        key = Key.of(manifest)
        with self._lock:
            if key in self.objects:
                raise ProviderError(f'{key.kind} "{key.name}" already exists in namespace "{key.namespace}"')
            if key.namespace and key.namespace not in BUILT_IN_NAMESPACES and not self._has_namespace(key.namespace):
                raise ProviderError(f'namespaces "{key.namespace}" not found')
            self.objects[key] = _stored(manifest, uid=str(uuid.uuid4()))
            if key.kind == "Job":
                self._end(self.objects[key])
            return self._ready(key)

    def update(self, manifest: Manifest) -> Manifest:
        key = Key.of(manifest)
        with self._lock:
            if key not in self.objects:
                raise ProviderError(f'{key.kind} "{key.name}" not found in namespace "{key.namespace}"')
            known = self.objects[key]
            self.objects[key] = _stored(manifest, uid=known["metadata"]["uid"])
            if "status" in known:
                self.objects[key]["status"] = known["status"]
            return self._ready(key)

    def delete(self, manifest: Manifest) -> None:
        key = Key.of(manifest)
        with self._lock:
            self.objects.pop(key, None)
            if key.kind == "Namespace":
                for other in [other for other in self.objects if other.namespace == key.name]:
                    del self.objects[other]

    def read(self, manifest: Manifest) -> Manifest | None:
        with self._lock:
            return copy.deepcopy(self.objects.get(Key.of(manifest)))

    def _end(self, job: Manifest) -> None:
        """End a new Job; nothing runs it again."""
        failed = job["metadata"].get("labels", {}).get(NAME_LABEL) in self.failing
        job["status"] = {"conditions": [{"type": "Failed" if failed else "Complete", "status": "True"}]}

    def _ready(self, key: Key) -> Manifest:
        """A copy of an object that is ready: an operation on a failed Job fails, as often as it is tried."""
        stored = copy.deepcopy(self.objects[key])
        if key.kind == "Job" and stored["status"]["conditions"][0]["type"] == "Failed":
            reason = stored["status"]["conditions"][0].get("message", "")
            raise UnreadyError(f"Job {key.name} failed{reason and f': {reason}'}", stored)
        return stored

    def _has_namespace(self, name: str) -> bool:
        return Key("Namespace", "", name) in self.objects


def _stored(manifest: Manifest, *, uid: str) -> Manifest:
    """A copy as the server stores it: with an identity, and a Secret's text moved to its encoded data."""
    stored = copy.deepcopy(manifest)
    stored["metadata"]["uid"] = uid
    if stored["kind"] == "Secret":
        text = stored.pop("stringData", {})
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in text.items()}
        stored["data"] = stored.get("data", {}) | encoded
    return stored
