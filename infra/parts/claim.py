"""Persistent volumes: data that outlives its pods, and even the stack if the stack protects its state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import StatefulSetPersistentVolumeClaimRetentionPolicyArgs
from pulumi_kubernetes.core.v1 import (
    PersistentVolumeClaim,
    PersistentVolumeClaimArgs,
    PersistentVolumeClaimSpecArgs,
    VolumeResourceRequirementsArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.kit.meta import named
from infra.kit.options import stateful
from infra.naming import Workload
from infra.parts.context import Context


@dataclass(frozen=True, kw_only=True)
class Disk:
    """A volume of this stack, which one node mounts at a time."""

    context: Context
    gib: int

    @property
    def spec(self) -> PersistentVolumeClaimSpecArgs:
        """What the cluster is asked for."""
        return PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            storage_class_name=self.context.cloud.storage_class,
            resources=VolumeResourceRequirementsArgs(requests={"storage": f"{self.gib}Gi"}),
        )


def claim(
    parent: pulumi.Resource, name: str, workload: Workload, disk: Disk, *, role: str = "data"
) -> PersistentVolumeClaim:
    """Create a claim named ``<workload>-<role>``, kept where the stack protects its state."""
    return PersistentVolumeClaim(
        f"{name}-{role}",
        metadata=named(workload, role=role),
        spec=disk.spec,
        opts=stateful(parent, disk.context.state),
    )


def claims_of_pods(
    parent: pulumi.Resource, name: str, workload: Workload, disk: Disk, *, replicas: int = 1
) -> list[PersistentVolumeClaim]:
    """Create the claims of a StatefulSet's pods, under the names that the StatefulSet looks for.

    The StatefulSet's own template would create them too, but Kubernetes lets nobody change it; a claim that the stack
    creates can grow in place.
    """
    return [
        PersistentVolumeClaim(
            f"{name}-data-{index}",
            metadata=named(workload, name=f"data-{workload.name}-{index}"),
            spec=disk.spec,
            opts=stateful(parent, disk.context.state),
        )
        for index in range(replicas)
    ]


TEMPLATES: Final = ("spec.volumeClaimTemplates",)
"""What a StatefulSet ignores of later changes: Kubernetes lets nobody change its templates, so a larger volume would
replace it."""


def claim_template(disk: Disk) -> PersistentVolumeClaimArgs:
    """Return the template that names the volume `data` in each pod of a StatefulSet.

    Pods find the claims of `claims_of_pods`. The template only takes effect where a claim was deleted under a running
    StatefulSet, which then creates it again at once. So it asks for the whole size, and where disks cannot grow, for no
    less than the data had room in. The StatefulSet must ignore `TEMPLATES`; the size stays that of its creation.
    """
    return PersistentVolumeClaimArgs(metadata=ObjectMetaArgs(name="data"), spec=disk.spec)


def retained() -> StatefulSetPersistentVolumeClaimRetentionPolicyArgs:
    """Return the policy by which no volume is deleted with its StatefulSet: the stack creates and deletes claims."""
    return StatefulSetPersistentVolumeClaimRetentionPolicyArgs(when_deleted="Retain", when_scaled="Retain")
