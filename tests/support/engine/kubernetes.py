"""A stand-in for Pulumi's Kubernetes provider: its rules for names, replacements and secrets, on any ``Cluster``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from support.engine import readiness
from support.engine.cluster import Cluster, Key, Manifest
from support.engine.provider import Asked, Change, Journal, Provider, UnreadyError
from support.engine.wire import Properties, is_secret, is_unknown, revealed, secret

AUTONAMED = "pulumi.com/autonamed"
REPLACE_UNREADY = "pulumi.com/replaceUnready"
UNREADY_PATH = f'.metadata.annotations["{REPLACE_UNREADY}"]'
"""How the provider names that reason for a replacement: it is no path of a difference, since nothing differs."""

# Fields that cannot change in place: the real provider's forceNewProperties, for the kinds of this project.
REPLACING = {
    "ConfigMap": ("data", "binaryData"),
    "ClusterRoleBinding": ("roleRef",),
    "Deployment": ("spec.selector",),
    "Job": ("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),
    "PersistentVolumeClaim": ("spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName"),
    "RoleBinding": ("roleRef",),
    "Secret": ("data", "stringData", "type"),
    "Service": ("spec.clusterIP",),
    "StatefulSet": (
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    "StorageClass": ("parameters", "provisioner"),
}
PLAIN = re.compile(r"[\w-]+")
IDENTITY = ("apiVersion", "kind", "metadata.name", "metadata.namespace")


class Kubernetes(Provider):
    """Manages typed objects: no Helm, no YAML bundles. How long to wait is the cluster's part."""

    def __init__(self, journal: Journal, cluster: Cluster) -> None:
        super().__init__("kubernetes", journal)
        self.cluster = cluster

    def check(self, asked: Asked) -> Properties:
        """Generate a name for an object without one, and mark it; it stays until the object is replaced."""
        metadata = asked.new.setdefault("metadata", {})
        if "name" not in metadata:
            old = asked.old.get("metadata", {})
            previous = old["name"] if AUTONAMED in old.get("annotations", {}) else None
            metadata["name"] = previous or f"{asked.name}-{hashlib.sha256(asked.seed).hexdigest()[:8]}"
            metadata.setdefault("annotations", {})[AUTONAMED] = "true"
        return asked.new

    def diff(self, asked: Asked) -> Change:
        before, after = revealed(asked.old), revealed(asked.new)
        paths = tuple(differing(before, after))
        final = (*IDENTITY, *REPLACING.get(after["kind"], ()))
        replacing = tuple(path for path in paths if any(_within(path, field) for field in final))
        if self._ran_in_vain(after):
            replacing = (*replacing, UNREADY_PATH)
        same_name = Key.of(before) == Key.of(after)
        autonamed = AUTONAMED in after["metadata"].get("annotations", {})
        return Change(paths=paths, replacing=replacing, delete_first=bool(replacing) and same_name and not autonamed)

    def create(self, asked: Asked) -> tuple[str, Properties]:
        manifest = revealed(asked.new)
        return str(Key.of(manifest)), self._applied(self.cluster.create, asked)

    def update(self, asked: Asked) -> Properties:
        return self._applied(self.cluster.update, asked)

    def _applied(self, apply: Callable[[Manifest], Manifest], asked: Asked) -> Properties:
        """Outputs of a created or updated object; one that does not become ready is passed on as it is."""
        manifest = revealed(asked.new)
        try:
            return _outputs(apply(manifest), asked.new)
        except UnreadyError as error:
            raise UnreadyError(str(error), _outputs(error.live, asked.new), str(Key.of(manifest))) from None

    def _ran_in_vain(self, manifest: Manifest) -> bool:
        """Whether it is a Job to replace because the live one did not complete; one that cannot be read is left alone.

        As in the provider's `Diff` (pulumi-kubernetes `provider/pkg/provider/provider.go`, PR 1575 and 1578).
        """
        annotated = manifest["metadata"].get("annotations", {}).get(REPLACE_UNREADY) == "true"
        if manifest["kind"] != "Job" or not annotated or any(map(is_unknown, manifest["metadata"].values())):
            return False
        live = self.cluster.read(manifest)
        return live is not None and not readiness.completed(live)

    def delete(self, asked: Asked) -> None:
        self.cluster.delete(revealed(asked.old))

    def read(self, asked: Asked) -> tuple[Properties, Properties] | None:
        live = self.cluster.read(revealed(asked.old))
        return None if live is None else (asked.old, _outputs(live, asked.old))


def differing(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Paths of the leaves that differ, in Pulumi's spelling; a value that is not known yet counts as different."""
    if is_unknown(new) or type(old) is not type(new):
        yield path
    elif isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            step = f"{path}.{key}".lstrip(".") if PLAIN.fullmatch(key) else f'{path}["{key}"]'
            if key in old and key in new:
                yield from differing(old[key], new[key], step)
            else:
                yield step
    elif isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from differing(before, after, f"{path}[{index}]")
    elif old != new:
        yield path


def _within(path: str, field: str) -> bool:
    """Whether the path is this field, lies inside of it, or contains it."""
    return path == field or re.match(rf"{re.escape(field)}[.\[]", path) is not None or field.startswith(f"{path}.")


def _outputs(manifest: Manifest, inputs: Properties) -> Properties:
    """The live object with secret marks on the data of a Secret and on each field that is secret in ``inputs``."""
    outputs = {key: _marked(value, inputs.get(key)) for key, value in manifest.items()}
    if manifest["kind"] == "Secret":
        outputs["data"] = secret(manifest["data"])
    return outputs


def _marked(value: Any, template: Any) -> Any:
    """``value`` with the secret marks of ``template`` at the same places."""
    if is_secret(template):
        return secret(value)
    if isinstance(value, dict) and isinstance(template, dict):
        return {key: _marked(item, template.get(key)) for key, item in value.items()}
    if isinstance(value, list) and isinstance(template, list) and len(value) == len(template):
        return [_marked(item, mark) for item, mark in zip(value, template, strict=True)]
    return value
