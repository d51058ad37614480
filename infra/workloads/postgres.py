"""PostgreSQL for MLflow's metadata and Grafana's settings, where the database is a pod.

The first start creates the database cluster. Every start runs `logins.sql` before the pod counts as started. It creates
what is missing: the databases `mlflow` and `grafana`, each with its owner, the login `backup`, which reads both, and
the login `monitor`, which reads statistics. Then it sets the passwords from the mounted files, so a changed secret,
which rolls the pod, is in force once the pod is ready. Inside the pod a process with the server's own user id is the
superuser and needs no password.
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
from pulumi_kubernetes.core.v1 import ConfigMap, ContainerArgs, PodSpecArgs, VolumeArgs

from infra import secret_files
from infra.config import DatabaseSettings
from infra.connections import LOGIN_LIMITS, LOGINS, MAX_CONNECTIONS, RESERVED
from infra.kit import pod, probes
from infra.kit.meta import named, selector, unnamed
from infra.kit.options import child, stateful
from infra.naming import POSTGRES, PROJECT
from infra.parts.claim import TEMPLATES, Disk, claim_template, claims_of_pods, retained
from infra.parts.context import Context, MountedSecret
from infra.parts.identity import service_account
from infra.parts.service import cluster_ip
from infra.secret_files import SECRETS_DIR, SecretSpec

DATA: Final = "/var/lib/postgresql/data"
SOCKETS: Final = "/var/run/postgresql"
LOGIN_SQL: Final = f"/etc/{PROJECT}/postgres"
MOUNTED: Final = (secret_files.POSTGRES_SUPERUSER, *LOGINS.values())
RIGHTS: Final = (
    "GRANT pg_read_all_data TO backup;",
    "GRANT CONNECT ON DATABASE postgres TO monitor;",
    "GRANT pg_monitor TO monitor;",
)
"""Rights of the logins that own nothing. `pg_monitor` reads all statistics and settings, but no table."""
GRACE_SECONDS: Final = 60
"""The image stops on SIGINT: it disconnects clients and writes a checkpoint, which takes seconds at most."""

SERVER: Final = {
    "max_connections": str(MAX_CONNECTIONS),
    "superuser_reserved_connections": str(RESERVED),
    # A quarter of 512Mi; the rest holds about 3 MiB for each connection, and the page cache.
    "shared_buffers": "128MB",
    "effective_cache_size": "256MB",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "autovacuum_max_workers": "2",
    # Half a CPU gains nothing from parallel workers, and /dev/shm is small.
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "max_wal_size": "512MB",
    "password_encryption": "scram-sha-256",
    # Network policies allow connections from within the platform only; `mesh: istio` encrypts them.
    "ssl": "off",
    "idle_in_transaction_session_timeout": "10min",
    "tcp_keepalives_idle": "60",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_min_duration_statement": "1000",
    "log_lock_waits": "on",
    # Parameter values may contain anything, including hashes of passwords.
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PostgresArgs:
    """Size of the pod and of its volume."""

    settings: DatabaseSettings
    context: Context


class Postgres(pulumi.ComponentResource):
    """ServiceAccount, SQL for the logins, claim, StatefulSet and headless Service."""

    def __init__(self, name: str, args: PostgresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Postgres", name, {}, opts)
        account = service_account(self, name, POSTGRES, args.context)
        logins = self._logins(name)
        secrets = [args.context.secret(self, name, POSTGRES, spec) for spec in MOUNTED]
        service = cluster_ip(self, name, POSTGRES, kind="headless")
        disks = claims_of_pods(self, name, POSTGRES, _disk(args))
        spec = PodSpecArgs(
            containers=[_container(args, secrets)],
            volumes=[
                logins,
                *(secret.volume for secret in secrets),
                pod.empty_dir("sockets", size="1Mi"),
                pod.empty_dir("tmp", size="64Mi"),
            ],
            termination_grace_period_seconds=GRACE_SECONDS,
        )
        self._server(name, args, spec, [account, service, *disks])
        self.register_outputs({})

    def _logins(self, name: str) -> VolumeArgs:
        config_map = ConfigMap(
            f"{name}-init", metadata=unnamed(POSTGRES), data={"logins.sql": init_sql()}, opts=child(self)
        )
        return pod.config_volume("logins", config_map.metadata.name)

    def _server(self, name: str, args: PostgresArgs, spec: PodSpecArgs, after: list[pulumi.Resource]) -> None:
        StatefulSet(
            f"{name}-server",
            metadata=named(POSTGRES),
            spec=StatefulSetSpecArgs(
                service_name=POSTGRES.name,
                replicas=1,
                selector=selector(POSTGRES),
                revision_history_limit=3,
                update_strategy=StatefulSetUpdateStrategyArgs(type="RollingUpdate"),
                persistent_volume_claim_retention_policy=retained(),
                volume_claim_templates=[claim_template(_disk(args))],
                template=pod.harden(POSTGRES, spec),
            ),
            opts=stateful(self, args.context.state, after=after, ignore=TEMPLATES),
        )


def _disk(args: PostgresArgs) -> Disk:
    return Disk(context=args.context, gib=args.settings.storage_gib)


def _container(args: PostgresArgs, secrets: list[MountedSecret]) -> ContainerArgs:
    return ContainerArgs(
        name=POSTGRES.name,
        image=args.context.images.reference("postgres"),
        resources=pod.resources(args.settings.resources),
        # While the server recovers from a crash it refuses connections, which is no reason to restart it for an hour.
        startup_probe=probes.run(
            *("psql", "--quiet", "--no-psqlrc", "--username=postgres", f"--file={LOGIN_SQL}/logins.sql"),
            period_seconds=5,
            failures=720,
        ),
        readiness_probe=probes.run("pg_isready", "--quiet", "--host=127.0.0.1"),
        liveness_probe=probes.tcp(port="postgres"),
        args=[part for key, value in SERVER.items() for part in ("-c", f"{key}={value}")],
        env=pod.environment(
            {
                "PGDATA": f"{DATA}/pgdata",
                "POSTGRES_PASSWORD_FILE": password_file(secret_files.POSTGRES_SUPERUSER),
                "POSTGRES_INITDB_ARGS": "--auth-local=peer --auth-host=scram-sha-256 --data-checksums",
            }
        ),
        volume_mounts=[
            pod.mount("data", DATA, read_only=False),
            pod.mount("logins", LOGIN_SQL),
            *(secret.mount for secret in secrets),
            pod.mount("sockets", SOCKETS, read_only=False),
            pod.tmp_mount(),
        ],
    )


def password_file(secret: SecretSpec, secrets_dir: str = SECRETS_DIR) -> str:
    """Return where the server finds the password of a secret."""
    return f"{secrets_dir}/{secret.name}/password"


def init_sql(secrets_dir: str = SECRETS_DIR) -> str:
    """Return SQL that creates missing roles and databases and sets the passwords; psql runs it as the superuser.

    The server itself reads the password files below ``secrets_dir``, so no command line or log contains a password.
    """
    logins = [
        _password("postgres", secret_files.POSTGRES_SUPERUSER, secrets_dir),
        *(_login(role, secret, secrets_dir) for role, secret in LOGINS.items()),
        *(_database(owner) for owner in ("mlflow", "grafana")),
    ]
    head = "\\set ON_ERROR_STOP on\nSET log_min_error_statement = panic;\nSET log_min_duration_statement = -1;\n"
    return head + "".join(logins) + "".join(f"{right}\n" for right in RIGHTS)


def _login(role: str, secret: SecretSpec, secrets_dir: str) -> str:
    exists = f"SELECT FROM pg_roles WHERE rolname = '{role}'"
    return (
        f"SELECT 'CREATE ROLE {role}' WHERE NOT EXISTS ({exists}) \\gexec\n"
        f"ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT {LOGIN_LIMITS[role]};\n"
        f"{_password(role, secret, secrets_dir)}"
    )


def _password(role: str, secret: SecretSpec, secrets_dir: str) -> str:
    if secret_files.PG_SERVICE in secret.files:
        password = _password_of_service(f"{secrets_dir}/{secret.name}/{secret_files.PG_SERVICE}")
    else:
        password = f"rtrim(pg_read_file('{password_file(secret, secrets_dir)}'), E'\\n')"
    return f"SELECT format('ALTER ROLE {role} PASSWORD %L', {password}) \\gexec\n"


def _password_of_service(path: str) -> str:
    """Return SQL for the password in a service file, which ends as libpq reads it: without blanks at the line's end.

    Without such a line it would be NULL, with which anybody's login would lose its password. A second file is read
    instead, which cannot exist and whose name says what is wrong.
    """
    line = f"substring(pg_read_file('{path}') FROM '(?n)^[ \\t]*password=(.*)$')"
    return f"coalesce(rtrim({line}, E' \\t\\r'), pg_read_file('{path} without a line password='))"


def _database(owner: str) -> str:
    exists = f"SELECT FROM pg_database WHERE datname = '{owner}'"
    lines = [
        f"SELECT 'CREATE DATABASE {owner} OWNER {owner}' WHERE NOT EXISTS ({exists}) \\gexec",
        f"REVOKE ALL ON DATABASE {owner} FROM PUBLIC;",
        f"GRANT CONNECT ON DATABASE {owner} TO backup;",
    ]
    return "".join(f"{line}\n" for line in lines)
