"""Metadata of Kubernetes objects: each one carries the labels of its workload."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.naming import OWNER_LABELS, Workload

Annotations = Mapping[str, pulumi.Input[str]]


def labels(workload: Workload) -> dict[str, str]:
    """Return the labels of every object and pod of a workload; they include its selector."""
    return workload.selector | OWNER_LABELS | {"app.kubernetes.io/component": workload.name}


def waited(seconds: int) -> dict[str, str]:
    """Return the annotation with how long `pulumi up` waits for an object; without it, that is ten minutes."""
    return {"pulumi.com/timeoutSeconds": str(seconds)}


def named(
    workload: Workload, *, role: str = "", name: str = "", annotations: Annotations | None = None
) -> ObjectMetaArgs:
    """Return the metadata of an object that others address: as ``<workload>``, ``<workload>-<role>``, or ``name``."""
    chosen = name or (f"{workload.name}-{role}" if role else workload.name)
    return ObjectMetaArgs(
        name=chosen, namespace=workload.namespace, labels=labels(workload), annotations=dict(annotations or {}) or None
    )


def unnamed(workload: Workload, *, annotations: Annotations | None = None) -> ObjectMetaArgs:
    """Return the metadata of an object that Pulumi names, so that changed content rolls the pods that use it."""
    return ObjectMetaArgs(
        namespace=workload.namespace, labels=labels(workload), annotations=dict(annotations or {}) or None
    )


def selector(workload: Workload) -> LabelSelectorArgs:
    """Return the selector that matches exactly this workload's pods."""
    return LabelSelectorArgs(match_labels=workload.selector)
