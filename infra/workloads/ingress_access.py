"""What the ingress controller may do at the API server: in its own namespace, and in the three that it routes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs

from infra.naming import INGRESS, MLOPS, MONITORING, SERVING
from infra.parts.access import in_cluster, in_namespace

ROUTED: Final = (SERVING, MLOPS, MONITORING)
"""Namespaces whose Ingresses are served."""
LOCK: Final = "ingress-leader"
"""The Lease held by the one replica that writes the status of Ingresses."""
READ: Final = ("get", "list", "watch")


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str], *, names: Sequence[str] = ()) -> PolicyRuleArgs:
    return PolicyRuleArgs(
        api_groups=[group], resources=list(resources), verbs=list(verbs), resource_names=list(names) or None
    )


def watched(namespace: str) -> list[PolicyRuleArgs]:
    """Return the rules for each watched namespace: read routes and their targets, write their status and events."""
    return [
        _rule("", ["services", "pods"], READ),
        _rule("", ["events"], ["create", "patch"]),
        _rule("", ["namespaces"], ["get"], names=[namespace]),
        _rule("discovery.k8s.io", ["endpointslices"], READ),
        _rule("networking.k8s.io", ["ingresses"], READ),
        _rule("networking.k8s.io", ["ingresses/status"], ["update"]),
    ]


def own() -> list[PolicyRuleArgs]:
    """Return further rules for its own namespace: its configuration, certificate, lock, and its pod's version label."""
    return [
        # The only Secret here is the certificate; Secrets of other namespaces stay out of reach.
        _rule("", ["configmaps", "secrets"], READ),
        _rule("", ["pods"], ["update"]),
        _rule("apps", ["replicasets"], ["get"]),
        _rule("coordination.k8s.io", ["leases"], ["get", "update"], names=[LOCK]),
        _rule("coordination.k8s.io", ["leases"], ["create"]),
    ]


def grant(parent: pulumi.Resource, name: str, ingress_class: str) -> list[pulumi.Resource]:
    """Create the bindings, all of which must exist before the controller starts."""
    its_class = _rule("networking.k8s.io", ["ingressclasses"], ["get"], names=[ingress_class])
    home = INGRESS.namespace
    return [
        in_namespace(parent, name, INGRESS, home, [*watched(home), *own()]),
        *(in_namespace(parent, name, INGRESS, namespace, watched(namespace)) for namespace in ROUTED),
        in_cluster(parent, name, INGRESS, [its_class]),
    ]
