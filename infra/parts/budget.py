"""Disruption budgets for workloads with several pods."""

from __future__ import annotations

import pulumi
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetSpecArgs

from infra.kit.meta import named, selector
from infra.kit.options import child
from infra.naming import Workload


def one_at_a_time(parent: pulumi.Resource, name: str, workload: Workload) -> PodDisruptionBudget:
    """Let a node drain evict one pod at a time; a pod that is not ready anyway does not block it."""
    return PodDisruptionBudget(
        f"{name}-budget",
        metadata=named(workload),
        spec=PodDisruptionBudgetSpecArgs(
            max_unavailable=1, selector=selector(workload), unhealthy_pod_eviction_policy="AlwaysAllow"
        ),
        opts=child(parent),
    )
