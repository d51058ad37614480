"""Rules about what must be there before objects and pods, and until they are gone: one line per violation."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from support.aws_rules import of
from support.order import before
from support.recorder import pod_templates

from ops.stack.recording import Recording

DEFINED_BY: Final = {
    "secrets-store.csi.x-k8s.io": "aws-secrets-store-csi-driver-provider",
    "eks.amazonaws.com": "Auto Mode",
    "karpenter.sh": "Auto Mode",
}
"""What brings the kinds of a group: an add-on, or the cluster itself, which is there before its provider."""
BUILT_IN: Final = {
    "apps", "autoscaling", "batch", "core", "networking.k8s.io", "policy", "rbac.authorization.k8s.io",
    "scheduling.k8s.io", "storage.k8s.io", "admissionregistration.k8s.io",
}  # fmt: skip
"""Groups of the API server itself."""
MOUNTED_BY: Final = {"secrets-store.csi.k8s.io": "aws-secrets-store-csi-driver-provider"}
"""The add-on that mounts a volume, by the driver that the volume names."""


def kinds_come_first(recording: Recording) -> list[str]:
    """An object of a custom kind waits for the add-on that defines the kind; the API server knows no such kind before.

    So the definition outlives the object at a destroy too. A group of which nobody knows what brings it is a violation.
    """
    addons = {item.inputs["addonName"]: item.urn for item in of(recording, "Addon")}
    earlier = before(recording)
    auto = any(item.inputs.get("computeConfig") for item in of(recording, "Cluster"))
    violations = []
    for item in recording.resources:
        if not item.is_kubernetes or item.type.split(":")[1].split("/")[0] in BUILT_IN:
            continue
        bringer = DEFINED_BY.get(item.inputs["apiVersion"].partition("/")[0])
        if not (auto if bringer == "Auto Mode" else addons.get(bringer or "") in earlier[item.urn]):
            violations.append(f"{item.inputs['kind']} {item.name}: {bringer or 'unknown'}")
    return violations


def drivers_outlive_pods(recording: Recording) -> list[str]:
    """A pod waits for the driver that mounts its secrets, which so stays until the pod is gone.

    Without the driver a volume can be neither mounted nor unmounted, and a pod that ends waits for ever.
    """
    addons = {item.inputs["addonName"]: item.urn for item in of(recording, "Addon")}
    earlier = before(recording)
    violations = []
    for item in recording.resources:
        for _, template in pod_templates(replace(recording, resources=[item])):
            drivers = {volume["csi"]["driver"] for volume in template["spec"].get("volumes", []) if "csi" in volume}
            violations += [
                f"{item.name}: {driver}"
                for driver in sorted(drivers)
                if addons.get(MOUNTED_BY.get(driver, "")) not in earlier[item.urn]
            ]
    return violations


def drivers_outlive_volumes(recording: Recording) -> list[str]:
    """Where an add-on creates the volumes, each claim and each set of claims waits for it, and is gone before it."""
    addons = {item.inputs["addonName"]: item.urn for item in of(recording, "Addon")}
    if "aws-ebs-csi-driver" not in addons:
        return []
    earlier = before(recording)
    return [
        item.name
        for item in recording.resources
        if item.is_kubernetes
        and (item.inputs["kind"] == "PersistentVolumeClaim" or item.inputs.get("spec", {}).get("volumeClaimTemplates"))
        and addons["aws-ebs-csi-driver"] not in earlier[item.urn]
    ]
