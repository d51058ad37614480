"""What a workload may do at the API server: a role and its binding, in one namespace or in the whole cluster."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgs,
    Role,
    RoleBinding,
    RoleRefArgs,
    SubjectArgs,
)

from infra.kit.meta import cluster_wide, labels
from infra.kit.options import child
from infra.naming import PROJECT, Workload

RBAC = "rbac.authorization.k8s.io"


def _subject(workload: Workload) -> SubjectArgs:
    return SubjectArgs(kind="ServiceAccount", name=workload.name, namespace=workload.namespace)


def in_namespace(
    parent: pulumi.Resource, name: str, workload: Workload, namespace: str, rules: Sequence[PolicyRuleArgs]
) -> RoleBinding:
    """Grant rules within one namespace, which need not be the workload's own; ``name`` is that of the component."""
    metadata = ObjectMetaArgs(name=workload.name, namespace=namespace, labels=labels(workload))
    role = Role(f"{name}-{namespace}-role", metadata=metadata, rules=list(rules), opts=child(parent))
    return RoleBinding(
        f"{name}-{namespace}-binding",
        metadata=metadata,
        role_ref=RoleRefArgs(api_group=RBAC, kind="Role", name=workload.name),
        subjects=[_subject(workload)],
        opts=child(parent, after=[role]),
    )


def in_cluster(
    parent: pulumi.Resource, name: str, workload: Workload, rules: Sequence[PolicyRuleArgs]
) -> ClusterRoleBinding:
    """Grant rules for resources without a namespace; ``name`` is that of the component."""
    metadata = cluster_wide(workload)
    role = ClusterRole(f"{name}-cluster-role", metadata=metadata, rules=list(rules), opts=child(parent))
    return ClusterRoleBinding(
        f"{name}-cluster-binding",
        metadata=metadata,
        role_ref=RoleRefArgs(api_group=RBAC, kind="ClusterRole", name=f"{PROJECT}-{workload.name}"),
        subjects=[_subject(workload)],
        opts=child(parent, after=[role]),
    )
