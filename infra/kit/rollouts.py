"""How a Deployment replaces its pods."""

from __future__ import annotations

from pulumi_kubernetes.apps.v1 import DeploymentStrategyArgs, RollingUpdateDeploymentArgs


def old_first() -> DeploymentStrategyArgs:
    """Return the strategy that tells an old pod to end before its successor starts, one pod at a time.

    There are never more pods than replicas, apart from those that are ending. ``Recreate`` would also wait until these
    are gone, but `pulumi up` does not wait for it: it looks at the old ReplicaSet until there is a new one, and finds
    that none of its pods is wanted any more (pulumi-kubernetes, provider/pkg/await/deployment.go).
    """
    return DeploymentStrategyArgs(
        type="RollingUpdate", rolling_update=RollingUpdateDeploymentArgs(max_surge=0, max_unavailable=1)
    )


def surge() -> DeploymentStrategyArgs:
    """Return the strategy that starts one new pod at a time and ends an old one only once the new one is ready."""
    return DeploymentStrategyArgs(
        type="RollingUpdate", rolling_update=RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0)
    )
