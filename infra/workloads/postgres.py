"""PostgreSQL for MLflow's metadata and Grafana's settings, where the database is a pod.

The first start makes the cluster. At every start the SQL of `logins.sql` runs before the pod counts as started: the
databases `mlflow` and `grafana`, each with its owner, the login `backup` that reads both, and the login `monitor` that
reads statistics, where they are missing; and the passwords of the mounted files. So a changed secret, which rolls the
pod, is in force once the pod is ready.
Inside the pod the superuser is whoever has the server's own user id, so that needs no password.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import (
    StatefulSet,
    StatefulSetSpecArgs,
    StatefulSetUpdateStrategyArgs,
)
from pulumi_kubernetes.core.v1 import ConfigMap, ContainerArgs, VolumeArgs

from infra import secret_files
from infra.config import DatabaseSettings
from infra.connections import LOGIN_LIMITS, LOGINS, MAX_CONNECTIONS, RESERVED
from infra.kit import pod, probes
from infra.kit.meta import named, selector, unnamed
from infra.kit.options import child, stateful
from infra.naming import POSTGRES
from infra.parts.claim import claim_template, claims_of_pods, retained
from infra.parts.context import Context
from infra.parts.identity import service_account
from infra.parts.service import cluster_ip
from infra.secret_files import SecretSpec

DATA: Final = "/var/lib/postgresql/data"
SOCKETS: Final = "/var/run/postgresql"
SECRETS: Final = "/run/secrets/churn"
LOGIN_SQL: Final = "/etc/churn/postgres"
MOUNTED: Final = (secret_files.POSTGRES_SUPERUSER, *LOGINS.values())
RIGHTS: Final = (
    "GRANT pg_read_all_data TO backup;",
    "GRANT CONNECT ON DATABASE postgres TO monitor;",
    "GRANT pg_monitor TO monitor;",
)
"""Of the logins that own nothing. `pg_monitor` sees everybody's statistics and settings, and no table of anybody."""
GRACE_SECONDS: Final = 60
"""The image stops by SIGINT: clients are sent away and a checkpoint is written, in seconds even if all has changed."""

SERVER: Final = {
    "max_connections": str(MAX_CONNECTIONS),
    "superuser_reserved_connections": str(RESERVED),
    # A quarter of 512Mi; what is left holds about 3 MiB for each connection and the page cache.
    "shared_buffers": "128MB",
    "effective_cache_size": "256MB",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "autovacuum_max_workers": "2",
    # Half a CPU has nothing to share out, and /dev/shm is small.
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "max_wal_size": "512MB",
    "password_encryption": "scram-sha-256",
    # Between the pods of one namespace only, by network policy; `mesh: istio` encrypts it.
    "ssl": "off",
    "idle_in_transaction_session_timeout": "10min",
    "tcp_keepalives_idle": "60",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_min_duration_statement": "1000",
    "log_lock_waits": "on",
    # Values of parameters may be anything, hashes of passwords among them.
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PostgresArgs:
    """Size of the pod and its volume."""

    settings: DatabaseSettings
    context: Context


class Postgres(pulumi.ComponentResource):
    """ServiceAccount, SQL of the logins, claim, StatefulSet and headless Service."""

    def __init__(self, name: str, args: PostgresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Postgres", name, {}, opts)
        account = service_account(self, name, POSTGRES, args.context.cloud.roles)
        volumes = self._volumes(name, args)
        service = cluster_ip(self, name, POSTGRES, headless=True)
        disks = claims_of_pods(self, name, POSTGRES, args.context, gib=args.settings.storage_gib)
        self._server(name, args, volumes, [account, service, *disks])
        self.register_outputs({})

    def _volumes(self, name: str, args: PostgresArgs) -> list[VolumeArgs]:
        logins = ConfigMap(
            f"{name}-init", metadata=unnamed(POSTGRES), data={"logins.sql": init_sql()}, opts=child(self)
        )
        secrets = [args.context.secret(self, name, POSTGRES, secret) for secret in MOUNTED]
        return [
            pod.config_volume("logins", logins.metadata.name),
            *secrets,
            pod.empty_dir("sockets", size="1Mi"),
            pod.empty_dir("tmp", size="64Mi"),
        ]

    def _server(
        self, name: str, args: PostgresArgs, volumes: list[VolumeArgs], needed: list[pulumi.Resource]
    ) -> StatefulSet:
        return StatefulSet(
            f"{name}-server",
            metadata=named(POSTGRES),
            spec=StatefulSetSpecArgs(
                service_name=POSTGRES.name,
                replicas=1,
                selector=selector(POSTGRES),
                revision_history_limit=3,
                update_strategy=StatefulSetUpdateStrategyArgs(type="RollingUpdate"),
                persistent_volume_claim_retention_policy=retained(),
                volume_claim_templates=[claim_template(args.context)],
                template=pod.pod(
                    POSTGRES, containers=[self._container(args)], volumes=volumes, grace_seconds=GRACE_SECONDS
                ),
            ),
            opts=stateful(self, args.context.state, after=needed),
        )

    def _container(self, args: PostgresArgs) -> ContainerArgs:
        return pod.container(
            POSTGRES,
            image=args.context.images.reference("postgres"),
            resources=pod.resources(args.settings.resources),
            probes=pod.Probes(
                # While it recovers from a crash it sends connections away: no reason to restart, for an hour.
                startup=probes.run(
                    *("psql", "--quiet", "--no-psqlrc", "--username=postgres", f"--file={LOGIN_SQL}/logins.sql"),
                    period_seconds=5,
                    failures=720,
                ),
                readiness=probes.run("pg_isready", "--quiet", "--host=127.0.0.1"),
                liveness=probes.tcp(port="postgres"),
            ),
            args=[part for key, value in SERVER.items() for part in ("-c", f"{key}={value}")],
            env={
                "PGDATA": f"{DATA}/pgdata",
                "POSTGRES_PASSWORD_FILE": password_file(secret_files.POSTGRES_SUPERUSER),
                "POSTGRES_INITDB_ARGS": "--auth-local=peer --auth-host=scram-sha-256 --data-checksums",
            },
            mounts=[
                pod.mount("data", DATA, read_only=False),
                pod.mount("logins", LOGIN_SQL),
                *(pod.mount(secret.name, f"{SECRETS}/{secret.name}") for secret in MOUNTED),
                pod.mount("sockets", SOCKETS, read_only=False),
                pod.tmp_mount(),
            ],
        )


def password_file(secret: SecretSpec, secrets: str = SECRETS) -> str:
    """Where the server finds the password of a secret."""
    return f"{secrets}/{secret.name}/password"


def init_sql(secrets: str = SECRETS) -> str:
    """SQL for psql as the superuser that makes roles and databases where they are missing and sets the passwords.

    The server itself reads the password files, below ``secrets``: nothing of them is in a command line or a log.
    """
    logins = [
        _password("postgres", secret_files.POSTGRES_SUPERUSER, secrets),
        *(_login(role, secret, secrets) for role, secret in LOGINS.items()),
        *(_database(owner) for owner in ("mlflow", "grafana")),
    ]
    head = "\\set ON_ERROR_STOP on\nSET log_min_error_statement = panic;\nSET log_min_duration_statement = -1;\n"
    return head + "".join(logins) + "".join(f"{right}\n" for right in RIGHTS)


def _login(role: str, secret: SecretSpec, secrets: str) -> str:
    exists = f"SELECT FROM pg_roles WHERE rolname = '{role}'"
    return (
        f"SELECT 'CREATE ROLE {role}' WHERE NOT EXISTS ({exists}) \\gexec\n"
        f"ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT {LOGIN_LIMITS[role]};\n"
        f"{_password(role, secret, secrets)}"
    )


def _password(role: str, secret: SecretSpec, secrets: str) -> str:
    file = f"pg_read_file('{password_file(secret, secrets)}')"
    return f"SELECT format('ALTER ROLE {role} PASSWORD %L', rtrim({file}, E'\\n')) \\gexec\n"


def _database(owner: str) -> str:
    exists = f"SELECT FROM pg_database WHERE datname = '{owner}'"
    lines = [
        f"SELECT 'CREATE DATABASE {owner} OWNER {owner}' WHERE NOT EXISTS ({exists}) \\gexec",
        f"REVOKE ALL ON DATABASE {owner} FROM PUBLIC;",
        f"GRANT CONNECT ON DATABASE {owner} TO backup;",
    ]
    return "".join(f"{line}\n" for line in lines)
