"""Persistent volumes: data that outlives its pods, and the stack where it says so."""

from __future__ import annotations

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


def volume_spec(context: Context, *, gib: int) -> PersistentVolumeClaimSpecArgs:
    """What a volume of this stack is asked for with; one node mounts it at a time."""
    return PersistentVolumeClaimSpecArgs(
        access_modes=["ReadWriteOnce"],
        storage_class_name=context.cloud.storage_class,
        resources=VolumeResourceRequirementsArgs(requests={"storage": f"{gib}Gi"}),
    )


def claim(
    parent: pulumi.Resource, name: str, workload: Workload, context: Context, *, gib: int, role: str = "data"
) -> PersistentVolumeClaim:
    """A claim named ``<workload>-<role>``, kept where the stack protects its state."""
    return PersistentVolumeClaim(
        f"{name}-{role}",
        metadata=named(workload, role=role),
        spec=volume_spec(context, gib=gib),
        opts=stateful(parent, context.state),
    )


def claims_of_pods(
    parent: pulumi.Resource, name: str, workload: Workload, context: Context, *, gib: int, replicas: int = 1
) -> list[PersistentVolumeClaim]:
    """The claims of a StatefulSet's pods, under the names by which the StatefulSet looks for them before it makes any.

    Made here and not from its template, which Kubernetes lets nobody change: so a volume grows in place.
    """
    return [
        PersistentVolumeClaim(
            f"{name}-data-{index}",
            metadata=named(workload, name=f"data-{workload.name}-{index}"),
            spec=volume_spec(context, gib=gib),
            opts=stateful(parent, context.state),
        )
        for index in range(replicas)
    ]


def claim_template(context: Context) -> PersistentVolumeClaimArgs:
    """What names the volume `data` in each pod of a StatefulSet; the size is that of pods somebody adds by hand."""
    return PersistentVolumeClaimArgs(metadata=ObjectMetaArgs(name="data"), spec=volume_spec(context, gib=1))


def retained() -> StatefulSetPersistentVolumeClaimRetentionPolicyArgs:
    """No volume goes with its StatefulSet: the stack itself has made it and says what becomes of it."""
    return StatefulSetPersistentVolumeClaimRetentionPolicyArgs(when_deleted="Retain", when_scaled="Retain")
