"""What a workload may do at the API server: a role and its binding, in one namespace or in the whole cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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

from infra.kit.meta import labels
from infra.kit.options import child
from infra.naming import PROJECT, Workload

RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Rules for a subject, and the name and labels of the role and of its binding."""

    called: str
    labels: Mapping[str, str]
    rules: Sequence[PolicyRuleArgs]
    subject: SubjectArgs

    def in_namespace(self, parent: pulumi.Resource, name: str, namespace: str) -> RoleBinding:
        """Grant them within one namespace; ``name`` is that of the component."""
        metadata = ObjectMetaArgs(name=self.called, namespace=namespace, labels=self.labels)
        role = Role(f"{name}-{namespace}-role", metadata=metadata, rules=list(self.rules), opts=child(parent))
        return RoleBinding(
            f"{name}-{namespace}-binding",
            metadata=metadata,
            role_ref=RoleRefArgs(api_group=RBAC, kind="Role", name=self.called),
            subjects=[self.subject],
            opts=child(parent, after=[role]),
        )

    def in_cluster(self, parent: pulumi.Resource, name: str) -> ClusterRoleBinding:
        """Grant them in the whole cluster; ``name`` is that of the component."""
        metadata = ObjectMetaArgs(name=self.called, labels=self.labels)
        role = ClusterRole(f"{name}-cluster-role", metadata=metadata, rules=list(self.rules), opts=child(parent))
        return ClusterRoleBinding(
            f"{name}-cluster-binding",
            metadata=metadata,
            role_ref=RoleRefArgs(api_group=RBAC, kind="ClusterRole", name=self.called),
            subjects=[self.subject],
            opts=child(parent, after=[role]),
        )


def _grant(workload: Workload, called: str, rules: Sequence[PolicyRuleArgs]) -> Grant:
    subject = SubjectArgs(kind="ServiceAccount", name=workload.name, namespace=workload.namespace)
    return Grant(called=called, labels=labels(workload), rules=rules, subject=subject)


def in_namespace(
    parent: pulumi.Resource, name: str, workload: Workload, namespace: str, rules: Sequence[PolicyRuleArgs]
) -> RoleBinding:
    """Grant rules within one namespace, which need not be the workload's own; ``name`` is that of the component."""
    return _grant(workload, workload.name, rules).in_namespace(parent, name, namespace)


def in_cluster(
    parent: pulumi.Resource, name: str, workload: Workload, rules: Sequence[PolicyRuleArgs]
) -> ClusterRoleBinding:
    """Grant rules for resources without a namespace; ``name`` is that of the component."""
    return _grant(workload, f"{PROJECT}-{workload.name}", rules).in_cluster(parent, name)
