"""Differences between the live tests' `dev` stack and that of users: sizes that fit on two shared CPUs."""

from __future__ import annotations

from typing import Any

RATE = 2000
"""Requests a second that the edge accepts from one client, since the load comes from one address."""


def small(config: dict[str, Any]) -> None:
    """Change the stack's settings for a small machine; the cache is on, so that every workload runs."""
    config["churn:cache"] = {"enabled": True, "memory_mib": 32}
    config["churn:ingress"]["client_requests_per_second"] = RATE
    # The autoscaler compares with the request: at a tenth of a CPU, a load that two CPUs can serve scales the API.
    config["churn:api"]["resources"]["cpu_request"] = "100m"
    config["churn:ingress"]["resources"]["cpu_limit"] = "1"
    config["churn:backup"]["scratch_gib"] = 2
    config["churn:alertmanager"]["replicas"] = 2  # two form a mesh
