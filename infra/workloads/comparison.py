"""What the workflows that compare a stack may read in its cluster, beyond EKS' policy for viewers.

That policy leaves out roles, Secrets, custom resources, and kinds without a namespace except namespaces themselves
(EKS user guide, "Review access policy permissions"). AmazonEKSAdminViewPolicy reads all, and every Secret with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

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

from infra.kit.options import child
from infra.naming import COMPARISON_GROUP, OWNER_LABELS, PROJECT
from infra.parts.access import RBAC

READ: Final = ("get", "list", "watch")
KINDS: Final = {
    "admissionregistration.k8s.io": ("validatingadmissionpolicies", "validatingadmissionpolicybindings"),
    "eks.amazonaws.com": ("ingressclassparams", "nodeclasses", "targetgroupbindings"),
    "karpenter.sh": ("nodepools",),
    "networking.k8s.io": ("ingressclasses",),
    RBAC: ("clusterrolebindings", "clusterroles", "rolebindings", "roles"),
    "secrets-store.csi.x-k8s.io": ("secretproviderclasses",),
    "security.istio.io": ("authorizationpolicies", "peerauthentications"),
    "storage.k8s.io": ("storageclasses",),
}
"""Kinds that the program makes on AWS and a viewer may not read, by API group."""
NAME: Final = f"{PROJECT}-comparison"


@dataclass(frozen=True, kw_only=True)
class ComparisonArgs:
    """The namespaces in which the program makes Secrets; those of the Secrets Store's driver are no objects."""

    secrets_in: Sequence[str]


class Comparison(pulumi.ComponentResource):
    """Roles of the group that the access entries of these workflows name."""

    def __init__(self, name: str, args: ComparisonArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Comparison", name, {}, opts)
        group = SubjectArgs(kind="Group", name=COMPARISON_GROUP, api_group=RBAC)
        everywhere = ObjectMetaArgs(name=NAME, labels=OWNER_LABELS)
        role = ClusterRole(
            f"{name}-cluster-role",
            metadata=everywhere,
            rules=[
                PolicyRuleArgs(api_groups=[api], resources=list(kinds), verbs=list(READ))
                for api, kinds in KINDS.items()
            ],
            opts=child(self),
        )
        ClusterRoleBinding(
            f"{name}-cluster-binding",
            metadata=everywhere,
            role_ref=RoleRefArgs(api_group=RBAC, kind="ClusterRole", name=NAME),
            subjects=[group],
            opts=child(self, after=[role]),
        )
        for namespace in args.secrets_in:
            self._secrets(name, namespace, group)
        self.register_outputs({})

    def _secrets(self, name: str, namespace: str, group: SubjectArgs) -> None:
        """Let the group read the Secrets of one namespace, whose values are in the stack's state as well."""
        metadata = ObjectMetaArgs(name=NAME, namespace=namespace, labels=OWNER_LABELS)
        rule = PolicyRuleArgs(api_groups=[""], resources=["secrets"], verbs=["get"])
        role = Role(f"{name}-{namespace}-role", metadata=metadata, rules=[rule], opts=child(self))
        RoleBinding(
            f"{name}-{namespace}-binding",
            metadata=metadata,
            role_ref=RoleRefArgs(api_group=RBAC, kind="Role", name=NAME),
            subjects=[group],
            opts=child(self, after=[role]),
        )
