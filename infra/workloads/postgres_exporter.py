"""PostgreSQL's own metrics: connections, transactions and deadlocks, as the server itself counts them.

Every stack has this exporter, since nothing else looks into a database on RDS. It connects as the login `monitor` to
the database that every server has, and reads statistics and settings; it cannot read any table.

Version 0.20 has flags for single collectors, but Debian's 0.11, which stands in for it in the tests, would not start
with them. So no flags are used, and Prometheus drops the metrics that nobody uses (`KEPT`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs, DeploymentStrategyArgs
from pulumi_kubernetes.core.v1 import ContainerArgs, PodSpecArgs

from infra import secret_files
from infra.cloud import Database
from infra.config import Resources
from infra.kit import pod, probes
from infra.kit.meta import named, selector
from infra.kit.options import child
from infra.naming import POSTGRES_EXPORTER
from infra.parts.context import Context, MountedSecret
from infra.parts.identity import service_account

ASKED: Final = (
    "pg_settings_max_connections",
    "pg_stat_activity_max_tx_duration",
    "pg_stat_database_deadlocks",
    "pg_stat_database_numbackends",
    "pg_stat_database_xact_commit",
    "pg_stat_database_xact_rollback",
    "pg_up",
)
"""The metrics that rules and dashboards use; the exporter also reports some hundred settings of the server."""
KEPT: Final = "|".join((*ASKED, "postgres_exporter_build_info", "process_.+"))
LOGIN: Final = secret_files.POSTGRES_MONITOR.at("postgres")
DATABASE: Final = "postgres"
CONNECT_SECONDS: Final = 2
"""Without a limit it would wait for an unresponsive server until Prometheus has given up the scrape, and the alert
would be about the exporter instead of the server."""
SIZE: Final = Resources(cpu_request="10m", cpu_limit="100m", memory_request="32Mi", memory_limit="128Mi")


@dataclass(frozen=True, kw_only=True)
class PostgresExporterArgs:
    """What the component needs to know about its stack."""

    context: Context


class PostgresExporter(pulumi.ComponentResource):
    """ServiceAccount, secret and Deployment; Prometheus finds its pod without a Service."""

    def __init__(self, name: str, args: PostgresExporterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:PostgresExporter", name, {}, opts)
        account = service_account(self, name, POSTGRES_EXPORTER, args.context)
        login = args.context.secret(self, name, POSTGRES_EXPORTER, LOGIN)
        self._deployment(name, args, login, account)
        self.register_outputs({})

    def _deployment(
        self, name: str, args: PostgresExporterArgs, login: MountedSecret, account: pulumi.Resource
    ) -> None:
        Deployment(
            f"{name}-deployment",
            metadata=named(POSTGRES_EXPORTER),
            spec=DeploymentSpecArgs(
                replicas=1,
                selector=selector(POSTGRES_EXPORTER),
                revision_history_limit=3,
                # Two pods at once would hold more connections than the login may have.
                strategy=DeploymentStrategyArgs(type="Recreate"),
                template=pod.harden(
                    POSTGRES_EXPORTER, PodSpecArgs(containers=[_container(args, login)], volumes=[login.volume])
                ),
            ),
            opts=child(self, after=[account]),
        )


def settings(where: Database) -> dict[str, pulumi.Input[str]]:
    """Return the address of the server and the files of the login, which the exporter reads only when it starts."""
    options = f"sslmode={where.ssl_mode}&connect_timeout={CONNECT_SECONDS}"
    if where.cidrs:
        options += f"&sslrootcert={LOGIN.ca}"
    return {
        "DATA_SOURCE_URI": pulumi.Output.format("{0}:{1}/{2}?{3}", where.host, where.port, DATABASE, options),
        "DATA_SOURCE_USER_FILE": LOGIN.file("username"),
        "DATA_SOURCE_PASS_FILE": LOGIN.file("password"),
    }


def _container(args: PostgresExporterArgs, login: MountedSecret) -> ContainerArgs:
    # The front page, not /metrics, which asks the database: restarting the exporter would not bring the database back,
    # and Prometheus must continue to scrape in order to notice that the database is gone.
    page = "/"
    return ContainerArgs(
        name=POSTGRES_EXPORTER.name,
        image=args.context.images.reference("postgres-exporter"),
        resources=pod.resources(SIZE),
        startup_probe=probes.http(page, period_seconds=2, failures=30),
        readiness_probe=probes.http(page),
        liveness_probe=probes.tcp(port="http"),
        args=[f"--web.listen-address=:{POSTGRES_EXPORTER.ports['http']}"],
        env=pod.environment(settings(args.context.cloud.database)),
        volume_mounts=[login.mount],
    )
