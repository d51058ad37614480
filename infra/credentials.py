"""First values of the platform's secrets, made by the stack itself: random, kept encrypted in its state."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_random import RandomPassword

from infra import secret_files as s
from infra.cloud import Database
from infra.config import ReceiverSecrets, StateSettings
from infra.config_loader import receiver_secrets
from infra.kit.options import stateful
from infra.naming import CACHE

Values = Mapping[str, pulumi.Output[str]]
"""A secret's files and their content."""


@dataclass(frozen=True, kw_only=True)
class Maker:
    """Makes values as children of one component; ``name`` is the component's."""

    parent: pulumi.Resource
    name: str
    state: StateSettings

    def random(self, role: str) -> pulumi.Output[str]:
        """43 letters and digits: 256 bits, and nothing that a file format would have to escape."""
        options = stateful(self.parent, self.state)
        return RandomPassword(f"{self.name}-{role}", length=43, special=False, opts=options).result

    def api_key(self, client: str, role: str) -> pulumi.Output[str]:
        """A key as `app/security.py` takes it: the client's id, and what only the client knows."""
        return self.random(role).apply(lambda secret: f"{client}.{secret}")

    def login(self, secret: s.SecretSpec, user: str) -> dict[str, pulumi.Output[str]]:
        """A user's name and password."""
        return {"username": _known(user), "password": self.random(secret.name)}

    def postgres(self, secret: s.SecretSpec, user: str, where: Database) -> Values:
        """A login of PostgreSQL, with the service file where the secret has one."""
        login = self.login(secret, user)
        if s.PG_SERVICE not in secret.files:
            return login
        database = "postgres" if user == "backup" else user
        service = pulumi.Output.all(where.host, login["password"]).apply(
            lambda known: service_file(where, host=known[0], user=user, password=known[1], database=database)
        )
        return {**login, s.PG_SERVICE: service}

    def shared(self, database: Database) -> dict[str, Values]:
        """Every secret that is the same wherever the stack is; the keys of the API and of the superuser are not."""
        admin, grafana = self.login(s.MLFLOW_ADMIN, "admin"), self.login(s.GRAFANA_ADMIN, "admin")
        return {
            s.MLFLOW_ADMIN.name: {**admin, "session_key": self.random(f"{s.MLFLOW_ADMIN.name}-session")},
            s.MLFLOW_API.name: self.login(s.MLFLOW_API, "api"),
            s.MLFLOW_TRAINING.name: self.login(s.MLFLOW_TRAINING, "training"),
            s.POSTGRES_MLFLOW.name: self.postgres(s.POSTGRES_MLFLOW, "mlflow", database),
            s.POSTGRES_GRAFANA.name: self.postgres(s.POSTGRES_GRAFANA, "grafana", database),
            s.POSTGRES_BACKUP.name: self.postgres(s.POSTGRES_BACKUP, "backup", database),
            s.POSTGRES_MONITOR.name: self.postgres(s.POSTGRES_MONITOR, "monitor", database),
            s.GRAFANA_ADMIN.name: {**grafana, "secret_key": self.random(f"{s.GRAFANA_ADMIN.name}-secret-key")},
            s.CACHE_LOGIN.name: self._cache(),
            s.ALERT_RECEIVERS.name: _receivers(),
        }

    def _cache(self) -> Values:
        password = self.random(s.CACHE_LOGIN.name)
        return {
            "users.acl": password.apply(cache_users),
            "redis_url": password.apply(lambda value: f"redis://api:{value}@{CACHE.host}:{CACHE.ports['redis']}/0"),
        }


def _known(value: str) -> pulumi.Output[str]:
    return pulumi.Output.from_input(value)


def _receivers() -> Values:
    given = receiver_secrets()

    def value(name: str) -> pulumi.Output[str]:
        return given.apply(lambda secrets: _field(secrets, name))

    return {name: value(name) for name in s.ALERT_RECEIVERS.files}


def _field(secrets: ReceiverSecrets, name: str) -> str:
    value: str = getattr(secrets, name)
    return value


def key_file(keys: Sequence[str], scopes: Sequence[str] = ("predict", "admin")) -> str:
    """The API's key file, as `app/security.py` reads it: the hash of each client's key, and what it may do."""
    entries = [
        {
            "id": key.partition(".")[0],
            "sha256": [hashlib.sha256(key.encode()).hexdigest()],
            "scopes": list(scopes),
        }
        for key in keys
    ]
    return json.dumps({"keys": entries})


def service_file(where: Database, *, host: str, user: str, password: str, database: str) -> str:
    """A libpq service file with the one service `churn`; outside of the cluster the connection must be encrypted."""
    lines = {
        "host": host,
        "port": str(where.port),
        "dbname": database,
        "user": user,
        "password": password,
    } | ({"sslmode": where.ssl_mode} if where.cidrs else {})
    return "\n".join(["[churn]", *(f"{key}={value}" for key, value in lines.items()), ""])


CACHE_COMMANDS = ("get", "mget", "set", "exists", "pttl", "incrby", "rename", "evalsha", "script|load")
"""What `app/cache.py` and the scripts of `app/ratelimit.py` call."""


def cache_users(password: str) -> str:
    """Valkey's users: the API with a hashed password, its own keys and the commands it needs, and nobody else."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    commands = " ".join(f"+{command}" for command in CACHE_COMMANDS)
    keys = "~churn-score:* ~churn-rate:*"
    return f"user default off\nuser api on #{digest} {keys} -@all +@connection -@admin -@dangerous {commands}\n"
