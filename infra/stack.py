"""The whole program: the cloud around the cluster, then everything in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_kubernetes as k8s
import pulumi_random
import pulumi_tls

if TYPE_CHECKING:
    from infra.aws.facts import Facts
from infra import edges, secret_files
from infra.cloud import CloudOutputs
from infra.config import PROJECT, ConfigError, Settings
from infra.local import LocalCloud, LocalCloudArgs, require_kubeconfig
from infra.naming import PROMETHEUS, THANOS_QUERY
from infra.parts.context import Context
from infra.versions import Images, demanded, locked_digests
from infra.workloads.alertmanager import Alertmanager, AlertmanagerArgs
from infra.workloads.api import Api, ApiArgs
from infra.workloads.artifact_volume import ArtifactVolume, ArtifactVolumeArgs
from infra.workloads.backup import Backup, BackupArgs
from infra.workloads.balancer import Balancer, BalancerArgs
from infra.workloads.blackbox import Blackbox, BlackboxArgs
from infra.workloads.cache import Cache, CacheArgs
from infra.workloads.certificate import Certificate, CertificateArgs
from infra.workloads.database_setup import DatabaseSetup, DatabaseSetupArgs
from infra.workloads.drill import Drill, DrillArgs
from infra.workloads.grafana import Grafana, GrafanaArgs
from infra.workloads.ingress import Ingress, IngressArgs, behind_alb
from infra.workloads.kube_state_metrics import KubeStateMetrics, KubeStateMetricsArgs
from infra.workloads.mesh import Mesh, MeshArgs
from infra.workloads.mlflow import Mlflow, MlflowArgs
from infra.workloads.namespaces import Namespaces, NamespacesArgs
from infra.workloads.network import Network, NetworkArgs
from infra.workloads.node_exporter import NodeExporter, NodeExporterArgs
from infra.workloads.postgres import Postgres, PostgresArgs
from infra.workloads.postgres_exporter import PostgresExporter, PostgresExporterArgs
from infra.workloads.prometheus import Prometheus, PrometheusArgs
from infra.workloads.pushgateway import Pushgateway, PushgatewayArgs
from infra.workloads.routes import Routes, RoutesArgs, hosts
from infra.workloads.thanos import Thanos, ThanosArgs
from infra.workloads.training import Training, TrainingArgs


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What a stack exports."""

    outputs: Mapping[str, pulumi.Input[object]]


def refuse(settings: Settings, digests: Mapping[str, str]) -> None:
    """See, before anything is made, that nothing is missing outside of the configuration.

    Raises:
        ConfigError: an image that the stack runs has no digest where it demands them; a local stack's kubeconfig is
            not there, or has no such context.
    """
    images = Images(settings=settings.images, digests=digests)
    missing = images.without_digest(settings) if settings.images.require_digests else []
    if missing:
        raise ConfigError(demanded(missing))
    if settings.cluster.kind == "local":
        require_kubeconfig(settings.cluster.context)


def build_cloud(settings: Settings, facts: Facts | None = None) -> CloudOutputs:
    """Everything around the cluster: for `local` only the secrets' values, made once and kept in the state.

    ``facts`` are what only AWS knows; without them it is asked.
    """
    if settings.cluster.kind == "eks":
        # Takes a second and much memory, which a local stack does without.
        from infra.aws import cloud  # noqa: PLC0415

        return cloud.build(settings, tuple(hosts(settings.ingress.domain)), facts)
    args = LocalCloudArgs(settings=settings)
    return LocalCloud("local", args, pulumi.ResourceOptions(provider=pulumi_random.Provider("random"))).outputs


def cluster_provider(settings: Settings, cloud: CloudOutputs) -> k8s.Provider:
    """The provider of every Kubernetes object: never the default one, which could reach another cluster.

    Raises:
        ConfigError: there is no kubeconfig, or it has no such context.
    """
    # Without an identifier a changed kubeconfig would replace the provider, and with it every object.
    if cloud.kubeconfig is not None:
        kubeconfig: pulumi.Output[str] = pulumi.Output.secret(cloud.kubeconfig)
        return k8s.Provider(
            "cluster",
            kubeconfig=kubeconfig,
            cluster_identifier=f"{PROJECT}-{settings.stack}",
            enable_server_side_apply=True,
        )
    return k8s.Provider(
        "cluster",
        kubeconfig=str(require_kubeconfig(settings.cluster.context)),
        context=settings.cluster.context or None,
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
    if cloud.capacity is not None:
        ground.append(cloud.capacity(pulumi.ResourceOptions(providers=[provider])))
    inside = pulumi.ResourceOptions(providers=[provider], depends_on=ground)
    data = _data(settings, context, inside)
    with_data = pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(depends_on=data))
    return Platform(
        outputs={
            **_serving(settings, context, inside),
            **_monitoring(settings, context, inside, with_data),
            **_jobs(settings, context, with_data),
            **_logins(cloud),
            **cloud.outputs,
            "image_registry": settings.images.registry,
            "image_tag": settings.images.tag,
        }
    )


Outputs = dict[str, pulumi.Input[object]]


def _logins(cloud: CloudOutputs) -> Outputs:
    """The first API key and people's passwords, where the stack made them: secret, for `--show-secrets`."""
    people = {"grafana_password": secret_files.GRAFANA_ADMIN, "mlflow_password": secret_files.MLFLOW_ADMIN}
    sources = {output: cloud.secrets[spec.name] for output, spec in people.items()}
    made: Outputs = {
        output: source.values["password"]
        for output, source in sources.items()
        if isinstance(source, secret_files.KubernetesSource)
    }
    return made if cloud.first_api_key is None else {**made, "api_key": cloud.first_api_key}


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


def _data(settings: Settings, context: Context, inside: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """The database, its backups, and the model registry, whose migration wants to see a backup."""
    zone = settings.backup.time_zone
    on_volume = None
    if context.cloud.artifacts_bucket is None:
        volume_args = ArtifactVolumeArgs(gib=settings.mlflow.artifacts_gib, context=context)
        on_volume = ArtifactVolume("mlflow-volume", volume_args, inside).claim
    backup = Backup("backup", BackupArgs(settings=settings.backup, context=context, artifacts_claim=on_volume), inside)
    before: list[pulumi.Resource] = [backup]
    if settings.database.kind == "in-cluster":
        before.append(Postgres("postgres", PostgresArgs(settings=settings.database, context=context), inside))
    else:
        before.append(DatabaseSetup("postgres-setup", DatabaseSetupArgs(context=context, time_zone=zone), inside))
    mlflow_args = MlflowArgs(
        settings=settings.mlflow,
        context=context,
        artifacts_claim=on_volume,
        backup_claim=backup.claim,
        time_zone=zone,
    )
    after = pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(depends_on=before))
    return [*before, Mlflow("mlflow", mlflow_args, after)]


def _serving(settings: Settings, context: Context, inside: pulumi.ResourceOptions) -> Outputs:
    """The API, its cache and the edge."""
    if settings.cache.enabled:
        Cache("cache", CacheArgs(settings=settings.cache, context=context), inside)
    Api("api", ApiArgs(settings=settings.api, context=context, cache=settings.cache.enabled), inside)
    return _edge(settings, context, inside) if settings.ingress.kind == "nginx" else {}


def _edge(settings: Settings, context: Context, inside: pulumi.ResourceOptions) -> Outputs:
    """The way in: certificate, controller, routes."""
    certificate = Certificate(
        "certificate",
        CertificateArgs(hosts=hosts(context.domain), state=context.state),
        pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(providers=[pulumi_tls.Provider("tls")])),
    )
    ingress_args = IngressArgs(
        settings=settings.ingress,
        context=context,
        certificate=certificate.secret_name,
        meshed=settings.namespaces.mesh == "istio",
    )
    ingress = Ingress("ingress", ingress_args, inside)
    routes = Routes(
        "routes",
        RoutesArgs(settings=settings.ingress, context=context),
        pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(depends_on=[ingress])),
    )
    _names(context, ingress, inside)
    return {**{f"{name}_url": url for name, url in routes.urls.items()}, "certificate": certificate.pem}


def _names(context: Context, ingress: Ingress, inside: pulumi.ResourceOptions) -> None:
    """The names of the stack's hosts, where the cloud keeps them: of the NLB of the Service, or of an ALB before it."""
    address = ingress.address
    if behind_alb(context.cloud):
        args = BalancerArgs(context=context)
        after = pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(depends_on=[ingress]))
        address = Balancer("balancer", args, after).address
    if context.cloud.addresses is not None and address is not None:
        context.cloud.addresses(address)


def _monitoring(
    settings: Settings, context: Context, inside: pulumi.ResourceOptions, with_data: pulumi.ResourceOptions
) -> Outputs:
    """Metrics, alerts and dashboards; of these Grafana and the exporter of the database need the database."""
    alertmanager = Alertmanager(
        "alertmanager", AlertmanagerArgs(settings=settings.alertmanager, context=context), inside
    )
    prometheus_args = PrometheusArgs(
        settings=settings.prometheus,
        context=context,
        stack=settings.stack,
        workloads=edges.workloads(settings),
        # Kubelets of EKS have certificates of the cluster's authority; those of kind and minikube sign their own.
        verify_kubelets=settings.cluster.kind == "eks",
        thanos=settings.thanos.enabled,
    )
    Prometheus("prometheus", prometheus_args, inside)
    if settings.thanos.enabled:
        Thanos("thanos", ThanosArgs(settings=settings.thanos, context=context), inside)
    Pushgateway("pushgateway", PushgatewayArgs(context=context), inside)
    KubeStateMetrics("kube-state-metrics", KubeStateMetricsArgs(context=context), inside)
    if settings.ingress.kind == "nginx":
        Blackbox("blackbox", BlackboxArgs(context=context), inside)
    NodeExporter("node-exporter", NodeExporterArgs(context=context), inside)
    PostgresExporter("postgres-exporter", PostgresExporterArgs(context=context), with_data)
    metrics = THANOS_QUERY if settings.thanos.enabled else PROMETHEUS
    grafana_args = GrafanaArgs(context=context, replicas=settings.grafana.replicas, metrics=metrics)
    Grafana("grafana", grafana_args, with_data)
    return {"alert_channels": list(alertmanager.channels)}


def _jobs(settings: Settings, context: Context, inside: pulumi.ResourceOptions) -> Outputs:
    """Drills and training, the first of which comes with the stack."""
    zone = settings.backup.time_zone
    Drill("drill", DrillArgs(time_zone=zone, context=context), inside)
    Training("training", TrainingArgs(settings=settings.training, time_zone=zone, context=context), inside)
    return {}
