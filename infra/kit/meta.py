"""Metadata: each object carries the labels of its workload."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.naming import PART_OF, Workload

Annotations = Mapping[str, pulumi.Input[str]]


def labels(workload: Workload) -> dict[str, str]:
    """Labels of every object and pod of a workload; its selector is a part of them."""
    return workload.selector | {"app.kubernetes.io/managed-by": "pulumi", "app.kubernetes.io/component": workload.name}


def named(
    workload: Workload, *, role: str = "", name: str = "", annotations: Annotations | None = None
) -> ObjectMetaArgs:
    """Metadata of an object that is addressed by name: the workload's, ``<workload>-<role>``, or a name of its own."""
    chosen = name or (f"{workload.name}-{role}" if role else workload.name)
    return ObjectMetaArgs(
        name=chosen, namespace=workload.namespace, labels=labels(workload), annotations=dict(annotations or {}) or None
    )


def unnamed(workload: Workload, *, annotations: Annotations | None = None) -> ObjectMetaArgs:
    """Metadata of an object that Pulumi names (ConfigMap, Secret, Job): its pods roll when its content changes."""
    return ObjectMetaArgs(
        namespace=workload.namespace, labels=labels(workload), annotations=dict(annotations or {}) or None
    )


def cluster_wide(workload: Workload) -> ObjectMetaArgs:
    """Metadata of an object without a namespace."""
    return ObjectMetaArgs(name=f"{PART_OF}-{workload.name}", labels=labels(workload))


def selector(workload: Workload) -> LabelSelectorArgs:
    """Selector of exactly this workload's pods."""
    return LabelSelectorArgs(match_labels=workload.selector)
