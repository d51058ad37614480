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

from infra.config import StateSettings
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


def claim_template(context: Context, *, gib: int, name: str = "data") -> PersistentVolumeClaimArgs:
    """A volume for each pod of a StatefulSet, which mounts it by ``name``."""
    return PersistentVolumeClaimArgs(metadata=ObjectMetaArgs(name=name), spec=volume_spec(context, gib=gib))


def kept_with(state: StateSettings) -> StatefulSetPersistentVolumeClaimRetentionPolicyArgs:
    """What becomes of these volumes with their StatefulSet; they are not in the state, so Pulumi has no say."""
    fate = "Retain" if state.protect else "Delete"
    return StatefulSetPersistentVolumeClaimRetentionPolicyArgs(when_deleted=fate, when_scaled=fate)
