"""How the live tests' `dev` stack differs from the one that users get: only sizes that two shared CPUs can carry."""

from __future__ import annotations

from typing import Any

RATE = 2000
"""Requests a second that the edge lets one client send: the load comes from one address."""


def small(config: dict[str, Any]) -> None:
    """Change the stack's settings for a small machine; the cache is on, so that every workload is there."""
    config["churn:cache"] = {"enabled": True, "memory_mib": 32}
    config["churn:ingress"]["client_requests_per_second"] = RATE
    # The autoscaler compares with the request: a tenth of a CPU, so that a load that two CPUs can carry scales it.
    config["churn:api"]["resources"]["cpu_request"] = "100m"
    config["churn:ingress"]["resources"]["cpu_limit"] = "1"
    config["churn:alertmanager"]["replicas"] = 2  # so that there is a mesh
