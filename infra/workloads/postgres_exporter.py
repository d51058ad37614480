"""PostgreSQL's own metrics: connections, transactions and deadlocks, as the server itself counts them.

In every stack, since it is the one thing that looks into a database of AWS. It connects as the login `monitor` to the
database that every server has, and reads statistics and settings; a table it cannot read.

Its version 0.20 knows flags for single collectors with which Debian's 0.11, which plays it in the tests, would not
start. So there are none, and Prometheus keeps what is asked for of what the collectors give (`KEPT`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs, DeploymentStrategyArgs
from pulumi_kubernetes.core.v1 import ContainerArgs, VolumeArgs

from infra import secret_files
from infra.cloud import Database
from infra.config import Resources
from infra.kit import pod, probes
from infra.kit.meta import named, selector
from infra.kit.options import child
from infra.naming import POSTGRES_EXPORTER
from infra.parts.context import Context
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
"""The metrics of the server that rules and dashboards ask for; there are some hundred settings of it besides."""
KEPT: Final = "|".join((*ASKED, "postgres_exporter_build_info", "process_.+"))
LOGIN: Final = "/run/secrets/churn/postgres"
DATABASE: Final = "postgres"
CONNECT_SECONDS: Final = 2
"""Without a limit it would wait for a server that does not answer until Prometheus has long given up the scrape, and
the alert would be about the exporter and not about the server."""
SIZE: Final = Resources(cpu_request="10m", cpu_limit="100m", memory_request="32Mi", memory_limit="128Mi")


@dataclass(frozen=True, kw_only=True)
class PostgresExporterArgs:
    """The stack around it."""

    context: Context


class PostgresExporter(pulumi.ComponentResource):
    """ServiceAccount, secret and Deployment; Prometheus finds its pod without a Service."""

    def __init__(self, name: str, args: PostgresExporterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:PostgresExporter", name, {}, opts)
        account = service_account(self, name, POSTGRES_EXPORTER, args.context.cloud.roles)
        login = args.context.secret(self, name, POSTGRES_EXPORTER, secret_files.POSTGRES_MONITOR)
        self._deployment(name, args, login, account)
        self.register_outputs({})

    def _deployment(self, name: str, args: PostgresExporterArgs, login: VolumeArgs, account: pulumi.Resource) -> None:
        Deployment(
            f"{name}-deployment",
            metadata=named(POSTGRES_EXPORTER),
            spec=DeploymentSpecArgs(
                replicas=1,
                selector=selector(POSTGRES_EXPORTER),
                revision_history_limit=3,
                # Two at once would hold more connections than the login has.
                strategy=DeploymentStrategyArgs(type="Recreate"),
                template=pod.pod(POSTGRES_EXPORTER, containers=[_container(args)], volumes=[login]),
            ),
            opts=child(self, after=[account]),
        )


def settings(where: Database) -> dict[str, pulumi.Input[str]]:
    """Where the server is and who asks; the files are read at the start only."""
    options = f"sslmode={where.ssl_mode}&connect_timeout={CONNECT_SECONDS}"
    return {
        "DATA_SOURCE_URI": pulumi.Output.format("{0}:{1}/{2}?{3}", where.host, where.port, DATABASE, options),
        "DATA_SOURCE_USER_FILE": f"{LOGIN}/username",
        "DATA_SOURCE_PASS_FILE": f"{LOGIN}/password",
    }


def _container(args: PostgresExporterArgs) -> ContainerArgs:
    # Its front page, not /metrics, which asks the database: a restart would not bring that back, and Prometheus must go
    # on asking to hear that it is gone.
    page = "/"
    return pod.container(
        POSTGRES_EXPORTER,
        image=args.context.images.reference("postgres-exporter"),
        resources=pod.resources(SIZE),
        probes=pod.Probes(
            startup=probes.http(page, period_seconds=2, failures=30),
            readiness=probes.http(page),
            liveness=probes.tcp(port="http"),
        ),
        args=[f"--web.listen-address=:{POSTGRES_EXPORTER.ports['http']}"],
        env=settings(args.context.cloud.database),
        mounts=[pod.mount(secret_files.POSTGRES_MONITOR.name, LOGIN)],
    )
