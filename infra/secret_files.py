"""The platform's secrets: which ones there are, and the files that a pod finds in each; the cloud has the values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import pulumi

from infra import naming as n

SECRETS_DIR: Final = f"/run/secrets/{n.PROJECT}"
"""Folder in a pod below which each secret has a folder of its own."""


@dataclass(frozen=True, kw_only=True)
class SecretSpec:
    """A secret, its files, and the folder where a pod finds them.

    The files are also the keys of the secret's JSON in AWS Secrets Manager.
    """

    name: str
    files: tuple[str, ...]
    folder: str = ""
    """Below `SECRETS_DIR`; the secret's name if empty."""

    @property
    def path(self) -> str:
        """Folder with the files, in a pod that mounts the secret."""
        return f"{SECRETS_DIR}/{self.folder or self.name}"

    def file(self, name: str) -> str:
        """Return the path of one file in a pod.

        Raises:
            ValueError: the secret has no such file.
        """
        if name not in self.files:
            raise ValueError(f"the secret {self.name} has no file {name}, only {', '.join(self.files)}")
        return f"{self.path}/{name}"

    @property
    def ca(self) -> str:
        """Path of `CA_FILE` in a pod that mounts the secret of a login."""
        return f"{self.path}/{CA_FILE}"

    def at(self, folder: str) -> SecretSpec:
        """Return the same secret for a workload that mounts it in another folder."""
        return replace(self, folder=folder)


PG_SERVICE: Final = "pg_service.conf"
"""libpq's service file: host, database, user and password of one login. libpq reads it for every new connection, so a
rotated password needs no restart, and no command line or environment variable contains it. A secret with this file has
no other one with the password: the server takes it from here too, so that the two sides cannot differ."""
PG_SERVICE_NAME: Final = n.PROJECT
"""The only service in that file."""

CA_FILE: Final = "ca.pem"
"""Where the database is outside the cluster: the authorities that may have signed its certificate.

It is in the secret of each of its logins, so that every pod that can log in can also tell whom it talks to."""

CLIENT_ROLE: Final = "api-client-"
"""Begins the role of the secret with a client's API key; the client's name follows."""
API_KEYS: Final = SecretSpec(name="api-keys", files=("keys.json",))
MLFLOW_ADMIN: Final = SecretSpec(name="mlflow-admin", files=("username", "password", "session_key"))
MLFLOW_API: Final = SecretSpec(name="mlflow-api", files=("username", "password"))
MLFLOW_TRAINING: Final = SecretSpec(name="mlflow-training", files=("username", "password"))
POSTGRES_SUPERUSER: Final = SecretSpec(name="postgres-superuser", files=("username", "password"))
POSTGRES_MLFLOW: Final = SecretSpec(name="postgres-mlflow", files=(PG_SERVICE,))
POSTGRES_GRAFANA: Final = SecretSpec(name="postgres-grafana", files=("username", "password"))
POSTGRES_BACKUP: Final = SecretSpec(name="postgres-backup", files=(PG_SERVICE,))
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
    n.RESTORE.name: (
        POSTGRES_SUPERUSER, POSTGRES_MLFLOW, POSTGRES_GRAFANA, POSTGRES_BACKUP, POSTGRES_MONITOR, MLFLOW_ADMIN,
        MLFLOW_TRAINING, MLFLOW_API, GRAFANA_ADMIN,
    ),
    n.GRAFANA.name: (GRAFANA_ADMIN, POSTGRES_GRAFANA),
    n.ALERTMANAGER.name: (ALERT_RECEIVERS,),
}  # fmt: skip
"""Which secrets each workload mounts, and so may read on AWS; a test compares the table with what is mounted."""


@dataclass(frozen=True, kw_only=True)
class KubernetesSource:
    """Values for Kubernetes Secrets that the stack itself holds: content by file name, marked secret."""

    values: Mapping[str, pulumi.Output[str]]


@dataclass(frozen=True, kw_only=True)
class AwsSource:
    """A secret in AWS Secrets Manager whose JSON has the file names as keys."""

    arn: pulumi.Input[str]
    more: tuple[str, ...] = ()
    """Files besides those that the secret has everywhere."""


SecretSource = KubernetesSource | AwsSource
