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
from infra.workloads.mesh import Mesh, MeshArgs
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
    ground = _ground(settings, cloud, provider)
    inside = pulumi.ResourceOptions(providers=[provider], depends_on=ground)
    return Platform(
        outputs={
            **_data(settings, context, inside),
            **_serving(settings, context, inside),
            **_monitoring(settings, context, inside),
            **_jobs(settings, context, inside),
        }
    )


Outputs = dict[str, pulumi.Input[object]]


def _ground(settings: Settings, cloud: CloudOutputs, provider: pulumi.ProviderResource) -> list[pulumi.Resource]:
    """Namespaces and everything in them that must be there before any pod."""
    of_provider = pulumi.ResourceOptions(providers=[provider])
    namespaces = Namespaces("namespaces", NamespacesArgs(settings=settings.namespaces), of_provider)
    after = pulumi.ResourceOptions.merge(of_provider, pulumi.ResourceOptions(depends_on=[namespaces]))
    workloads, allowed = edges.workloads(settings), edges.edges(settings, cloud)
    meshed = settings.namespaces.mesh == "istio"
    network_args = NetworkArgs(workloads=workloads, edges=allowed, dns_cidrs=cloud.dns_cidrs, mesh=meshed)
    ground: list[pulumi.Resource] = [namespaces, Network("network", network_args, after)]
    if meshed:
        ground.append(Mesh("mesh", MeshArgs(workloads=workloads, edges=allowed), after))
    return ground


def _data(settings: Settings, context: Context, inside: pulumi.ResourceOptions) -> Outputs:
    """The database and the model registry."""
    del settings, context, inside
    return {}


def _serving(settings: Settings, context: Context, inside: pulumi.ResourceOptions) -> Outputs:
    """The edge, the API and its cache."""
    Api("api", ApiArgs(settings=settings.api, context=context, cache=settings.cache.enabled), inside)
    return {}


def _monitoring(settings: Settings, context: Context, inside: pulumi.ResourceOptions) -> Outputs:
    """Metrics, alerts and dashboards."""
    del settings, context, inside
    return {}


def _jobs(settings: Settings, context: Context, inside: pulumi.ResourceOptions) -> Outputs:
    """Training, backups and drills."""
    del settings, context, inside
    return {}
