"""The provider of every Kubernetes object, bound to one cluster."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s

from infra.cloud import CloudOutputs
from infra.config import Settings
from infra.kubeconfig import require_context
from infra.naming import PROJECT


def cluster_provider(settings: Settings, cloud: CloudOutputs) -> k8s.Provider:
    """Create the provider of every Kubernetes object; the default one could reach another cluster.

    Raises:
        ConfigError: there is no kubeconfig, it lacks the configured context, or none is configured and the current one
            may not be local.
    """
    # Without an identifier, a changed kubeconfig would replace the provider and every object with it.
    if cloud.kubeconfig is not None:
        kubeconfig: pulumi.Output[str] = pulumi.Output.secret(cloud.kubeconfig)
        return k8s.Provider(
            "cluster",
            kubeconfig=kubeconfig,
            cluster_identifier=f"{PROJECT}-{settings.stack}",
            enable_server_side_apply=True,
        )
    # The context is always named: the state keeps it, and `destroy`, which runs no program, does not follow kubectl's.
    chosen = require_context(settings.cluster.context)
    return k8s.Provider(
        "cluster",
        kubeconfig=str(chosen.path),
        context=chosen.name,
        # The same for every context. Another identifier means another cluster to Pulumi, which then creates everything
        # anew and deletes the old objects by their names: after a renamed context, those that it has just created.
        cluster_identifier=f"{settings.stack}-current",
        enable_server_side_apply=True,
    )
