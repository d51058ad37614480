"""The whole program: the cloud around the cluster, then everything in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
import pulumi_random
import pulumi_tls

from infra import edges
from infra.cloud import CloudOutputs
from infra.config import Settings
from infra.local import LocalCloud, LocalCloudArgs, require_kubeconfig
from infra.parts.context import Context
from infra.versions import Images, locked_digests
from infra.workloads.api import Api, ApiArgs
from infra.workloads.namespaces import Namespaces, NamespacesArgs
from infra.workloads.network import Network, NetworkArgs


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What a stack exports."""

    outputs: Mapping[str, pulumi.Input[object]]


def value_providers() -> list[pulumi.ProviderResource]:
    """Providers of made values; explicit like all, since default providers are disabled."""
    return [pulumi_random.Provider("random"), pulumi_tls.Provider("tls")]


def build_cloud(settings: Settings) -> CloudOutputs:
    """Everything around the cluster: for `local` only the secrets' values, made once and kept in the state."""
    args = LocalCloudArgs(settings=settings)
    return LocalCloud("local", args, pulumi.ResourceOptions(providers=value_providers())).outputs


def cluster_provider(settings: Settings) -> k8s.Provider:
    """The provider of every Kubernetes object: never the default one, which could reach another cluster.

    Raises:
        ConfigError: there is no kubeconfig, or it has no such context.
    """
    path = require_kubeconfig(settings.cluster.context)
    return k8s.Provider(
        "cluster",
        kubeconfig=str(path),
        context=settings.cluster.context or None,
        # Without it a changed kubeconfig would replace the provider, and with it every object.
        cluster_identifier=f"{settings.stack}-{settings.cluster.context or 'current'}",
        enable_server_side_apply=True,
    )


def build_cluster(
    settings: Settings,
    cloud: CloudOutputs,
    provider: pulumi.ProviderResource,
    digests: Mapping[str, str] | None = None,
) -> Platform:
    """Every workload, in the order in which they need each other; ``digests`` are the lock file's unless given."""
    images = Images(settings=settings.images, digests=locked_digests() if digests is None else digests)
    context = Context(cloud=cloud, images=images, state=settings.state, domain=settings.ingress.domain)
    namespaces = Namespaces(
        "namespaces", NamespacesArgs(settings=settings.namespaces), pulumi.ResourceOptions(providers=[provider])
    )
    network_args = NetworkArgs(
        workloads=edges.workloads(settings), edges=edges.edges(settings, cloud), dns_cidrs=cloud.dns_cidrs
    )
    network = Network("network", network_args, pulumi.ResourceOptions(providers=[provider], depends_on=[namespaces]))
    inside = pulumi.ResourceOptions(providers=[provider], depends_on=[network])
    api = Api("api", ApiArgs(settings=settings.api, context=context, cache=settings.cache.enabled), inside)
    return Platform(outputs={"api_internal_url": api.url})
