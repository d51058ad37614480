"""What the workflows that compare a stack may read in its cluster, beyond EKS' policy for viewers.

That policy leaves out roles, Secrets, custom resources, and kinds without a namespace except namespaces themselves
(EKS user guide, "Review access policy permissions"). AmazonEKSAdminViewPolicy reads all, and every Secret with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import pulumi
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs, SubjectArgs

from infra.naming import COMPARISON_GROUP, OWNER_LABELS, PROJECT
from infra.parts.access import RBAC, Grant

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
        rules = [
            PolicyRuleArgs(api_groups=[api], resources=list(kinds), verbs=list(READ)) for api, kinds in KINDS.items()
        ]
        plain = Grant(called=NAME, labels=OWNER_LABELS, rules=rules, subject=group)
        plain.in_cluster(self, name)
        # The values of these Secrets are in the stack's state as well, which the group's members can read.
        secrets = PolicyRuleArgs(api_groups=[""], resources=["secrets"], verbs=["get"])
        for namespace in args.secrets_in:
            replace(plain, rules=[secrets]).in_namespace(self, name, namespace)
        self.register_outputs({})
