"""Disruption budgets of workloads with a fixed number of pods."""

from __future__ import annotations

import pulumi
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetSpecArgs

from infra.kit.meta import named, selector
from infra.kit.options import child
from infra.naming import Workload


def one_at_a_time(parent: pulumi.Resource, name: str, workload: Workload) -> PodDisruptionBudget:
    """A node drain takes one pod at a time; one that is broken anyway does not hold it up."""
    return PodDisruptionBudget(
        f"{name}-budget",
        metadata=named(workload),
        spec=PodDisruptionBudgetSpecArgs(
            max_unavailable=1, selector=selector(workload), unhealthy_pod_eviction_policy="AlwaysAllow"
        ),
        opts=child(parent),
    )
