"""Namespaces, and what the API server itself enforces in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.admissionregistration.v1 import (
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
)
from pulumi_kubernetes.core.v1 import (
    LimitRange,
    LimitRangeItemArgs,
    LimitRangeSpecArgs,
    Namespace,
    ResourceQuota,
    ResourceQuotaSpecArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.config import NamespaceSettings
from infra.kit.options import child
from infra.naming import INGRESS_NAMESPACE, NAMESPACES, NODES, OWNER_LABELS
from infra.workloads import namespaces_admission as admission

EXEMPT: Final = {NODES: "node-exporter reads the host's /proc, /sys and file systems, which are host paths"}
"""Namespaces without Pod Security `restricted`, and why; an admission policy of ours enforces the rest of it there."""


READINESS_GATE: Final = {"eks.amazonaws.com/pod-readiness-gate-inject": "enabled"}
"""Label by which EKS Auto Mode makes a new pod unready until it is a healthy target of its load balancer.

A controller of one's own would ask for another (`elbv2.k8s.aws/...`). The gate is put on pods that are created once
their target group exists, so the pods of the very first rollout have none.
"""


@dataclass(frozen=True, kw_only=True)
class NamespacesArgs:
    """Quotas, whether there is a mesh, and whether pods of the edge are targets of a load balancer."""

    settings: NamespaceSettings
    pods_are_targets: bool


class Namespaces(pulumi.ComponentResource):
    """All namespaces, each with its Pod Security level, quota and limits."""

    def __init__(self, name: str, args: NamespacesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Namespaces", name, {}, opts)
        for namespace in NAMESPACES:
            created = Namespace(
                f"{name}-{namespace}",
                metadata=ObjectMetaArgs(name=namespace, labels=_labels(namespace, args)),
                opts=child(self),
            )
            self._limits(name, namespace, created, args.settings)
        for namespace in EXEMPT:
            self._guard(name, namespace)
        self.register_outputs({})

    def _guard(self, name: str, namespace: str) -> None:
        metadata = ObjectMetaArgs(name=namespace, labels=OWNER_LABELS)
        policy = ValidatingAdmissionPolicy(
            f"{name}-{namespace}-guard", metadata=metadata, spec=admission.guard(namespace), opts=child(self)
        )
        ValidatingAdmissionPolicyBinding(
            f"{name}-{namespace}-guard-binding",
            metadata=metadata,
            spec=admission.binding(namespace),
            opts=child(self, after=[policy]),
        )

    def _limits(self, name: str, namespace: str, created: Namespace, settings: NamespaceSettings) -> None:
        ResourceQuota(
            f"{name}-{namespace}-quota",
            metadata=ObjectMetaArgs(name="quota", namespace=namespace),
            spec=ResourceQuotaSpecArgs(
                hard={
                    "requests.cpu": settings.quota.cpu,
                    "requests.memory": settings.quota.memory,
                    "pods": str(settings.quota.pods),
                }
            ),
            opts=child(self, after=[created]),
        )
        LimitRange(
            f"{name}-{namespace}-limits",
            metadata=ObjectMetaArgs(name="limits", namespace=namespace),
            spec=LimitRangeSpecArgs(
                limits=[
                    LimitRangeItemArgs(
                        type="Container",
                        default={"cpu": "500m", "memory": "256Mi"},
                        default_request={"cpu": "50m", "memory": "64Mi"},
                    )
                ]
            ),
            opts=child(self, after=[created]),
        )


def _labels(namespace: str, args: NamespacesArgs) -> dict[str, str]:
    level = "privileged" if namespace in EXEMPT else "restricted"
    modes = {f"pod-security.kubernetes.io/{mode}": level for mode in ("enforce", "audit", "warn")}
    mesh = {"istio-injection": "enabled"} if args.settings.mesh == "istio" and namespace not in EXEMPT else {}
    gate = READINESS_GATE if args.pods_are_targets and namespace == INGRESS_NAMESPACE else {}
    return OWNER_LABELS | modes | mesh | gate
