"""The platform's secrets: which there are, and the files a pod finds in each; values are the cloud's matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi

from infra import naming as n


@dataclass(frozen=True, kw_only=True)
class SecretSpec:
    """A secret and its files, which are also the keys of its JSON in AWS Secrets Manager."""

    name: str
    files: tuple[str, ...]


PG_SERVICE: Final = "pg_service.conf"
"""libpq's service file: host, database, user and password of one login. libpq reads it anew for each connection, so a
rotated password needs no restart, and nothing of it is in a command line or the environment."""

API_KEYS: Final = SecretSpec(name="api-keys", files=("keys.json",))
MLFLOW_ADMIN: Final = SecretSpec(name="mlflow-admin", files=("username", "password", "session_key"))
MLFLOW_API: Final = SecretSpec(name="mlflow-api", files=("username", "password"))
MLFLOW_TRAINING: Final = SecretSpec(name="mlflow-training", files=("username", "password"))
POSTGRES_SUPERUSER: Final = SecretSpec(name="postgres-superuser", files=("password",))
POSTGRES_MLFLOW: Final = SecretSpec(name="postgres-mlflow", files=("username", "password", PG_SERVICE))
POSTGRES_GRAFANA: Final = SecretSpec(name="postgres-grafana", files=("username", "password"))
POSTGRES_BACKUP: Final = SecretSpec(name="postgres-backup", files=("username", "password", PG_SERVICE))
POSTGRES_MONITOR: Final = SecretSpec(name="postgres-monitor", files=("username", "password"))
GRAFANA_ADMIN: Final = SecretSpec(name="grafana-admin", files=("username", "password", "secret_key"))
ALERT_RECEIVERS: Final = SecretSpec(
    name="alert-receivers", files=("slack_url", "smtp_password", "pagerduty_routing_key", "deadman_url")
)
CACHE_LOGIN: Final = SecretSpec(name="cache-login", files=("users.acl", "redis_url"))

ALL: Final = (
    API_KEYS, MLFLOW_ADMIN, MLFLOW_API, MLFLOW_TRAINING, POSTGRES_SUPERUSER, POSTGRES_MLFLOW, POSTGRES_GRAFANA,
    POSTGRES_BACKUP, POSTGRES_MONITOR, GRAFANA_ADMIN, ALERT_RECEIVERS, CACHE_LOGIN,
)  # fmt: skip


READERS: Final = {
    n.API.name: (API_KEYS, MLFLOW_API, CACHE_LOGIN),
    n.CACHE.name: (CACHE_LOGIN,),
    n.MLFLOW.name: (POSTGRES_MLFLOW, MLFLOW_ADMIN),
    n.MLFLOW_MIGRATE.name: (POSTGRES_MLFLOW, MLFLOW_ADMIN, MLFLOW_TRAINING, MLFLOW_API),
    n.MLFLOW_GC.name: (POSTGRES_MLFLOW, MLFLOW_ADMIN),
    n.TRAINING.name: (MLFLOW_TRAINING,),
    n.POSTGRES.name: (POSTGRES_SUPERUSER, POSTGRES_MLFLOW, POSTGRES_GRAFANA, POSTGRES_BACKUP, POSTGRES_MONITOR),
    n.POSTGRES_SETUP.name: (POSTGRES_SUPERUSER, POSTGRES_MLFLOW, POSTGRES_GRAFANA, POSTGRES_BACKUP, POSTGRES_MONITOR),
    n.POSTGRES_EXPORTER.name: (POSTGRES_MONITOR,),
    n.BACKUP.name: (POSTGRES_BACKUP,),
    n.GRAFANA.name: (GRAFANA_ADMIN, POSTGRES_GRAFANA),
    n.ALERTMANAGER.name: (ALERT_RECEIVERS,),
}  # fmt: skip
"""Which workload mounts which secrets: the rights of its role on AWS; a test compares it with what is mounted."""


@dataclass(frozen=True, kw_only=True)
class KubernetesSource:
    """Values held by the stack itself, for Kubernetes Secrets: file name → content, marked secret."""

    values: Mapping[str, pulumi.Output[str]]


@dataclass(frozen=True, kw_only=True)
class AwsSource:
    """A secret of AWS Secrets Manager whose JSON has the files as keys."""

    arn: pulumi.Input[str]


SecretSource = KubernetesSource | AwsSource
