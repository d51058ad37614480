"""Grafana: the dashboards of `dashboards/`, provisioned from files; users and preferences are in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
import yaml
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs
from pulumi_kubernetes.core.v1 import ConfigMap, ContainerArgs, PodSpecArgs, VolumeArgs

import dashboards
from infra import connections, secret_files
from infra.cloud import Database
from infra.config import Resources
from infra.kit import pod, probes, rollouts
from infra.kit.meta import named, selector, unnamed, waited
from infra.kit.options import child
from infra.naming import GRAFANA, PROJECT, PROMETHEUS, Workload
from infra.parts.budget import one_at_a_time
from infra.parts.context import Context, MountedSecret
from infra.parts.identity import service_account
from infra.parts.service import cluster_ip

DATA: Final = "/var/lib/grafana"
LOGS: Final = "/var/log/grafana"
PROVISIONING: Final = "/etc/grafana/provisioning"
DASHBOARDS: Final = "/etc/grafana/dashboards"
ADMIN: Final = secret_files.GRAFANA_ADMIN
LOGIN: Final = secret_files.POSTGRES_GRAFANA.at("postgres")
DATASOURCE: Final = "prometheus"
"""The uid of the only datasource."""
SIZE: Final = Resources(cpu_request="100m", cpu_limit="500m", memory_request="256Mi", memory_limit="512Mi")
MIGRATION_SECONDS: Final = 600
"""How long the first start may take, which creates the tables."""
READY_SECONDS: Final = MIGRATION_SECONDS + 120
"""How long `pulumi up` waits: for a first start, and for the image before it."""


@dataclass(frozen=True, kw_only=True)
class GrafanaArgs:
    """What the component needs to know about its stack, its scale, and the workload that it queries for metrics.

    ``docs_url`` is where people read this repository, for links to runbooks; if empty, panels name only the path.
    """

    context: Context
    docs_url: str
    replicas: int = 1
    metrics: Workload = PROMETHEUS


class Grafana(pulumi.ComponentResource):
    """ServiceAccount, ConfigMaps, Deployment and Service; dashboards come from files and cannot be edited in it."""

    def __init__(self, name: str, args: GrafanaArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Grafana", name, {}, opts)
        account = service_account(self, name, GRAFANA, args.context)
        secrets = [args.context.secret(self, name, GRAFANA, spec) for spec in (ADMIN, LOGIN)]
        self._deployment(name, args, secrets, account)
        cluster_ip(self, name, GRAFANA, wait_seconds=READY_SECONDS)
        if args.replicas > 1:
            one_at_a_time(self, name, GRAFANA)
        self.register_outputs({})

    def _volumes(self, name: str, args: GrafanaArgs, secrets: list[MountedSecret]) -> list[VolumeArgs]:
        scratch = {"data": "256Mi", "logs": "64Mi", "tmp": "64Mi"}
        return [
            *(secret.volume for secret in secrets),
            *(self._files(name, role, data) for role, data in provisioned(args.docs_url, args.metrics).items()),
            *(pod.empty_dir(volume, size=size) for volume, size in scratch.items()),
        ]

    def _files(self, name: str, role: str, data: Mapping[str, str]) -> VolumeArgs:
        config_map = ConfigMap(f"{name}-{role}", metadata=unnamed(GRAFANA), data=dict(data), opts=child(self))
        return pod.config_volume(role, config_map.metadata.name)

    def _deployment(self, name: str, args: GrafanaArgs, secrets: list[MountedSecret], account: pulumi.Resource) -> None:
        several = args.replicas > 1
        spec = PodSpecArgs(
            containers=[_container(args, secrets)],
            volumes=self._volumes(name, args, secrets),
            topology_spread_constraints=pod.spread(GRAFANA, zones=args.context.cloud.zones) if several else None,
        )
        Deployment(
            f"{name}-deployment",
            metadata=named(GRAFANA, annotations=waited(READY_SECONDS)),
            spec=DeploymentSpecArgs(
                replicas=args.replicas,
                selector=selector(GRAFANA),
                revision_history_limit=3,
                # Old and new version change the same tables; the new one takes a lock for its migration. And there are
                # never more pods, and so connections, than replicas and one that is ending.
                strategy=rollouts.old_first(),
                template=pod.harden(GRAFANA, spec),
            ),
            opts=child(self, after=[account]),
        )


def provisioned(docs_url: str = "", metrics: Workload = PROMETHEUS) -> dict[str, dict[str, str]]:
    """Return the contents of the ConfigMaps by volume: datasource, provider of dashboards, and the dashboards."""
    source = {
        "name": "Prometheus",
        "uid": DATASOURCE,
        "type": "prometheus",
        "access": "proxy",
        "url": metrics.url(),
        "isDefault": True,
        "editable": False,
        "jsonData": {"httpMethod": "POST", "timeInterval": "15s", "prometheusType": "Prometheus"},
    }
    provider = {
        "name": PROJECT,
        "folder": "Churn",
        "type": "file",
        "disableDeletion": True,
        "allowUiUpdates": False,
        "options": {"path": DASHBOARDS},
    }
    return {
        "datasources": {"prometheus.yaml": yaml.safe_dump({"apiVersion": 1, "datasources": [source]})},
        "providers": {"churn.yaml": yaml.safe_dump({"apiVersion": 1, "providers": [provider]})},
        "dashboards": {
            f"{name}.json": json.dumps(dashboard, indent=1) for name, dashboard in dashboards.every(docs_url).items()
        },
    }


def from_file(path: str) -> str:
    """Return the value of a setting that Grafana replaces with the content of a file, by its variable expansion."""
    return f"$__file{{{path}}}"


def settings(domain: str, where: Database) -> dict[str, pulumi.Input[str]]:
    """Return Grafana's settings; secret values are in files, which Grafana itself reads.

    Variables with the suffix ``__FILE`` would not do: the image's start script replaces them for the server alone, so
    `grafana cli`, which resets a password, would not find the database (grafana/grafana 73921,
    `packaging/docker/run.sh`).
    """
    pool = connections.POOLS[GRAFANA.name]
    return {
        "GF_SERVER_ROOT_URL": f"https://grafana.{domain}",
        "GF_SERVER_HTTP_PORT": str(GRAFANA.ports["http"]),
        "GF_PATHS_DATA": DATA,
        "GF_PATHS_LOGS": LOGS,
        "GF_PATHS_PLUGINS": f"{DATA}/plugins",
        "GF_PATHS_PROVISIONING": PROVISIONING,
        "GF_LOG_MODE": "console",
        "GF_METRICS_ENABLED": "true",
        "GF_DATABASE_TYPE": "postgres",
        "GF_DATABASE_HOST": pulumi.Output.format("{0}:{1}", where.host, where.port),
        "GF_DATABASE_NAME": "grafana",
        "GF_DATABASE_USER": from_file(LOGIN.file("username")),
        "GF_DATABASE_PASSWORD": from_file(LOGIN.file("password")),
        "GF_DATABASE_SSL_MODE": where.ssl_mode,
        **({"GF_DATABASE_CA_CERT_PATH": LOGIN.ca} if where.cidrs else {}),
        "GF_DATABASE_MAX_OPEN_CONN": str(pool.each),
        "GF_DATABASE_MAX_IDLE_CONN": str(pool.size),
        "GF_SECURITY_ADMIN_USER": from_file(ADMIN.file("username")),
        "GF_SECURITY_ADMIN_PASSWORD": from_file(ADMIN.file("password")),
        "GF_SECURITY_SECRET_KEY": from_file(ADMIN.file("secret_key")),
        # Encrypts newer kinds of secrets; its default value is public.
        "GF_SECRETS_MANAGER_ENCRYPTION_SECRET_KEY_V1_SECRET_KEY": from_file(ADMIN.file("secret_key")),
        "GF_SECURITY_COOKIE_SECURE": "true",
        "GF_SECURITY_COOKIE_SAMESITE": "strict",
        "GF_SECURITY_CONTENT_SECURITY_POLICY": "true",
        "GF_SECURITY_DISABLE_GRAVATAR": "true",
        "GF_AUTH_ANONYMOUS_ENABLED": "false",
        "GF_USERS_ALLOW_SIGN_UP": "false",
        "GF_USERS_ALLOW_ORG_CREATE": "false",
        "GF_PUBLIC_DASHBOARDS_ENABLED": "false",
        # Prometheus and Alertmanager are responsible for alerts.
        "GF_UNIFIED_ALERTING_ENABLED": "false",
        **_no_calls_home(),
    }


def _no_calls_home() -> dict[str, pulumi.Input[str]]:
    """Return settings that turn off calls home: network policies block them, so they would only fill the log."""
    return {
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_ANALYTICS_FEEDBACK_LINKS_ENABLED": "false",
        "GF_NEWS_NEWS_FEED_ENABLED": "false",
        "GF_PLUGINS_PLUGIN_ADMIN_ENABLED": "false",
        # Also keeps the image's own data sources: the installer would unload each one that has a newer release, then
        # fail to replace it on a read-only file system (grafana/grafana 132528; Prometheus is one of them since 13.2).
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
        "GF_PLUGINS_PREINSTALL_AUTO_UPDATE": "false",
        "GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED": "true",
        "GF_SNAPSHOTS_EXTERNAL_ENABLED": "false",
        "GF_CLOUD_MIGRATION_ENABLED": "false",
    }


def _container(args: GrafanaArgs, secrets: list[MountedSecret]) -> ContainerArgs:
    return ContainerArgs(
        name=GRAFANA.name,
        image=args.context.images.reference("grafana"),
        resources=pod.resources(SIZE),
        startup_probe=probes.http("/api/health", failures=MIGRATION_SECONDS // 10),
        readiness_probe=probes.http("/api/health"),
        # Not /api/health, which asks the database: restarting Grafana would not bring the database back.
        liveness_probe=probes.http("/healthz"),
        env=pod.environment(settings(args.context.domain, args.context.cloud.database)),
        volume_mounts=[
            *(secret.mount for secret in secrets),
            pod.mount("datasources", f"{PROVISIONING}/datasources"),
            pod.mount("providers", f"{PROVISIONING}/dashboards"),
            pod.mount("dashboards", DASHBOARDS),
            pod.mount("data", DATA, read_only=False),
            pod.mount("logs", LOGS, read_only=False),
            pod.tmp_mount(),
        ],
    )
