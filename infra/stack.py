"""The whole program: the cloud around the cluster, then everything inside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pulumi
import pulumi_random
import pulumi_tls

if TYPE_CHECKING:
    from infra.aws.account import Account
from infra import edges, secret_files
from infra.cloud import CloudOutputs
from infra.config import ConfigError, Settings
from infra.config_loader import registry_logins
from infra.kubeconfig import require_context
from infra.local import LocalCloud, LocalCloudArgs
from infra.naming import INGRESS, NAMESPACES, PROMETHEUS, THANOS_QUERY
from infra.parts.context import Context
from infra.parts.pull_secret import PullSecrets, PullSecretsArgs
from infra.trust import check_certificates
from infra.versions import Images, check_registry, digest_required, locked_digests
from infra.workloads.alertmanager import Alertmanager, AlertmanagerArgs
from infra.workloads.api import Api, ApiArgs
from infra.workloads.artifact_volume import ArtifactVolume, ArtifactVolumeArgs
from infra.workloads.backup import Backup, BackupArgs
from infra.workloads.backup_expiry import BackupExpiry, BackupExpiryArgs
from infra.workloads.balancer import Balancer, BalancerArgs
from infra.workloads.blackbox import Blackbox, BlackboxArgs
from infra.workloads.cache import Cache, CacheArgs
from infra.workloads.certificate import Certificate, CertificateArgs
from infra.workloads.comparison import Comparison, ComparisonArgs
from infra.workloads.database_setup import DatabaseSetup, DatabaseSetupArgs
from infra.workloads.drill import Drill, DrillArgs
from infra.workloads.grafana import Grafana, GrafanaArgs
from infra.workloads.ingress import Ingress, IngressArgs
from infra.workloads.ingress_services import behind_alb
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
from infra.workloads.restore import Restore, RestoreArgs
from infra.workloads.routes import Routes, RoutesArgs, hosts, internal_hosts, max_bodies
from infra.workloads.thanos import Thanos, ThanosArgs
from infra.workloads.training import Training, TrainingArgs

Outputs = dict[str, pulumi.Input[object]]


def check_prerequisites(settings: Settings, digests: Mapping[str, str]) -> None:
    """Check what a stack needs besides its configuration, before any resource is created.

    Raises:
        ConfigError: a stack on AWS would pull the project's images from a registry that is not its owner's; an image
            that the stack runs has no locked digest although digests are required; nobody has fetched the certificates
            of RDS; or the kubeconfig of a local stack is missing, lacks the configured context, or names none and has a
            current one that may not be local.
    """
    check_registry(settings)
    check_digests(settings, digests)
    check_certificates(settings)
    if settings.cluster.kind == "local":
        require_context(settings.cluster.context)


def check_digests(settings: Settings, digests: Mapping[str, str]) -> None:
    """Check that every image has a locked digest, where the stack requires that.

    Raises:
        ConfigError: an image that the stack runs has none.
    """
    images = Images(settings=settings.images, digests=digests)
    missing = images.without_digest(settings) if settings.images.require_digests else []
    if missing:
        raise ConfigError(digest_required(missing))


def build_cloud(settings: Settings, account: Account | None = None) -> CloudOutputs:
    """Build everything around the cluster; for a local cluster that is only the values of the secrets.

    AWS is asked for the account and its zones unless ``account`` is given.
    """
    if settings.cluster.kind == "eks":
        # Importing the AWS SDK takes a second and much memory, which a local stack does without.
        from infra.aws import cloud  # noqa: PLC0415

        return cloud.build(settings, tuple(hosts(settings.ingress.domain)), account)
    args = LocalCloudArgs(settings=settings)
    return LocalCloud("local", args, pulumi.ResourceOptions(provider=pulumi_random.Provider("random"))).outputs


def build_cluster(
    settings: Settings,
    cloud: CloudOutputs,
    provider: pulumi.ProviderResource,
    digests: Mapping[str, str] | None = None,
) -> Outputs:
    """Build every workload, in order of dependency, and return what the stack exports.

    ``digests`` of the images default to those of the lock file.
    """
    images = Images(settings=settings.images, digests=locked_digests() if digests is None else digests)
    context = Context(cloud=cloud, images=images, state=settings.state, domain=settings.ingress.domain)
    ground = [*cloud.drivers, *_ground(settings, cloud, provider)]
    if cloud.capacity is not None:
        ground.append(cloud.capacity(pulumi.ResourceOptions(providers=[provider])))
    inside = pulumi.ResourceOptions(providers=[provider], depends_on=ground)
    data = _data(settings, context, inside)
    with_data = pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(depends_on=data))
    training = _jobs(settings, context, with_data)
    outputs: Outputs = {
        **_serving(settings, context, inside, training),
        **_monitoring(settings, context, inside, with_data),
        **_logins(cloud),
        **cloud.outputs,
        "image_registry": settings.images.registry,
        "image_tag": settings.images.tag,
    }
    return outputs


def _logins(cloud: CloudOutputs) -> Outputs:
    """Return the first API key and people's passwords, where the stack generates them; `--show-secrets` shows them."""
    people = {"grafana_password": secret_files.GRAFANA_ADMIN, "mlflow_password": secret_files.MLFLOW_ADMIN}
    sources = {output: cloud.secrets[spec.name] for output, spec in people.items()}
    passwords: Outputs = {
        output: source.values["password"]
        for output, source in sources.items()
        if isinstance(source, secret_files.KubernetesSource)
    }
    return passwords if cloud.first_api_key is None else {**passwords, "api_key": cloud.first_api_key}


def _ground(settings: Settings, cloud: CloudOutputs, provider: pulumi.ProviderResource) -> list[pulumi.Resource]:
    """Build the namespaces, and everything in them that must exist before any pod."""
    options = pulumi.ResourceOptions(providers=[provider])
    # Auto Mode registers pods themselves; the cluster's own controller registers nodes.
    targets = cloud.load_balancer is not None and cloud.load_balancer.auto_mode
    namespaces_args = NamespacesArgs(settings=settings.namespaces, pods_are_targets=targets)
    namespaces = Namespaces("namespaces", namespaces_args, options)
    after = pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(depends_on=[namespaces]))
    workloads, allowed = edges.workloads(settings), edges.edges(settings, cloud)
    meshed = settings.namespaces.mesh == "istio"
    network_args = NetworkArgs(workloads=workloads, edges=allowed, dns_cidrs=cloud.dns_cidrs, mesh=meshed)
    ground: list[pulumi.Resource] = [namespaces, Network("network", network_args, after)]
    if cloud.first_values is not None:
        ground.append(cloud.first_values)
    if settings.images.pull_secret:
        ground.append(PullSecrets("pull-secrets", PullSecretsArgs(logins=registry_logins()), after))
    if settings.cluster.kind == "eks":
        everywhere, edge = settings.images.pull_secret, settings.ingress.kind == "nginx"
        secrets_in = NAMESPACES if everywhere else [INGRESS.namespace] if edge else []
        Comparison("comparison", ComparisonArgs(secrets_in=secrets_in), after)
    if meshed:
        ground.append(Mesh("mesh", MeshArgs(workloads=workloads, edges=allowed), after))
    return ground


def _data(settings: Settings, context: Context, inside: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Build the database, its backups, and the model registry, whose migration requires a recent backup."""
    zone = settings.backup.time_zone
    artifacts_claim = None
    if context.cloud.artifacts_bucket is None:
        volume_args = ArtifactVolumeArgs(gib=settings.mlflow.artifacts_gib, context=context)
        artifacts_claim = ArtifactVolume("mlflow-volume", volume_args, inside).claim
    backup_args = BackupArgs(settings=settings.backup, context=context, artifacts_claim=artifacts_claim)
    backup = Backup("backup", backup_args, inside)
    if context.cloud.backups_bucket is not None:
        expiry_args = BackupExpiryArgs(context=context, bucket=context.cloud.backups_bucket, time_zone=zone)
        BackupExpiry("backup-expiry", expiry_args, inside)
    before: list[pulumi.Resource] = [backup]
    if settings.database.kind == "in-cluster":
        before.append(Postgres("postgres", PostgresArgs(settings=settings.database, context=context), inside))
    else:
        before.append(DatabaseSetup("postgres-setup", DatabaseSetupArgs(context=context, time_zone=zone), inside))
    mlflow_args = MlflowArgs(
        settings=settings.mlflow,
        context=context,
        artifacts_claim=artifacts_claim,
        backup_claim=backup.claim,
        models=settings.registered_models,
        time_zone=zone,
    )
    after = pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(depends_on=before))
    restore_args = RestoreArgs(
        context=context, artifacts_claim=artifacts_claim, scratch_gib=settings.backup.scratch_gib, time_zone=zone
    )
    Restore("restore", restore_args, after)
    return [*before, Mlflow("mlflow", mlflow_args, after)]


def _serving(
    settings: Settings, context: Context, inside: pulumi.ResourceOptions, training: pulumi.Resource
) -> Outputs:
    """Build the API, its cache and the edge; return the addresses that clients use."""
    if settings.cache.enabled:
        Cache("cache", CacheArgs(settings=settings.cache, context=context), inside)
    # It is not ready without a model, and the first training may take longer than anybody waits for a Deployment.
    api_args = ApiArgs(settings=settings.api, context=context, cache=settings.cache.enabled)
    Api("api", api_args, pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(depends_on=[training])))
    return _edge(settings, context, inside) if settings.ingress.kind == "nginx" else {}


def _edge(settings: Settings, context: Context, inside: pulumi.ResourceOptions) -> Outputs:
    """Build what lets clients in: the certificate, the ingress controller, the routes."""
    certificate = Certificate(
        "certificate",
        CertificateArgs(hosts=hosts(context.domain), state=context.state),
        pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(providers=[pulumi_tls.Provider("tls")])),
    )
    ingress_args = IngressArgs(
        settings=settings.ingress,
        context=context,
        certificate=certificate.secret_name,
        max_bodies=max_bodies(),
        internal_hosts=internal_hosts(context.domain),
        meshed=settings.namespaces.mesh == "istio",
    )
    ingress = Ingress("ingress", ingress_args, inside)
    routes = Routes(
        "routes",
        RoutesArgs(settings=settings.ingress, context=context),
        pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(depends_on=[ingress])),
    )
    _dns_records(context, ingress, inside)
    return {**{f"{name}_url": url for name, url in routes.urls.items()}, "certificate": certificate.pem}


def _dns_records(context: Context, ingress: Ingress, inside: pulumi.ResourceOptions) -> None:
    """Point each host at its load balancer, where the cloud has DNS: an NLB of a Service, or an ALB before it."""
    public, internal = ingress.address, ingress.internal_address
    if behind_alb(context.cloud):
        args = BalancerArgs(context=context)
        after = pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(depends_on=[ingress]))
        balancer = Balancer("balancer", args, after)
        public, internal = balancer.address, balancer.internal_address
    if context.cloud.addresses is not None and public is not None and internal is not None:
        closed = internal_hosts(context.domain)
        context.cloud.addresses({host: internal if host in closed else public for host in hosts(context.domain)})


def _monitoring(
    settings: Settings, context: Context, inside: pulumi.ResourceOptions, with_data: pulumi.ResourceOptions
) -> Outputs:
    """Build metrics, alerts and dashboards; Grafana and the database exporter wait for the database."""
    alertmanager = Alertmanager(
        "alertmanager", AlertmanagerArgs(settings=settings.alertmanager, context=context), inside
    )
    prometheus_args = PrometheusArgs(
        settings=settings.prometheus,
        context=context,
        stack=settings.stack,
        workloads=edges.workloads(settings),
        pods_monthly_usd=settings.budget.pods_monthly_usd,
        # EKS signs the kubelets' certificates with the cluster's authority; in kind and minikube they sign their own.
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
    grafana_args = GrafanaArgs(
        context=context,
        docs_url=settings.alertmanager.docs_url,
        replicas=settings.grafana.replicas,
        metrics=metrics,
    )
    Grafana("grafana", grafana_args, with_data)
    return {"alert_channels": list(alertmanager.channels)}


def _jobs(settings: Settings, context: Context, inside: pulumi.ResourceOptions) -> pulumi.Resource:
    """Build drills and training; the first training, if the stack has one, runs as a part of `pulumi up`."""
    zone = settings.backup.time_zone
    room = settings.backup.scratch_gib
    Drill("drill", DrillArgs(time_zone=zone, scratch_gib=room, context=context), inside)
    training_args = TrainingArgs(settings=settings.training, time_zone=zone, context=context)
    return Training("training", training_args, inside)
