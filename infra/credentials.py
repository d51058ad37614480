"""First values of the platform's secrets.

A local stack generates them and keeps them, encrypted, in its state. On AWS the program writes only templates of the
files; `ops/jobs/rotation` fills them in, and no value ever is in the state.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_random import RandomPassword

from infra import secret_files as s
from infra.cloud import Database
from infra.config import StateSettings
from infra.config_alerts import ReceiverSecrets
from infra.config_loader import receiver_secrets
from infra.kit.options import stateful
from infra.naming import CACHE

Values = Mapping[str, pulumi.Output[str]]
"""Content of a secret's files, by file name."""


@dataclass(frozen=True, kw_only=True)
class Maker:
    """Generates values as children of one component; ``name`` is that of the component."""

    parent: pulumi.Resource
    name: str
    state: StateSettings

    def random(self, role: str) -> pulumi.Output[str]:
        """Generate 43 letters and digits: 256 bits, without a character that any file format would have to escape."""
        options = stateful(self.parent, self.state)
        return RandomPassword(f"{self.name}-{role}", length=43, special=False, opts=options).result

    def api_key(self, client: str, role: str) -> pulumi.Output[str]:
        """Generate a key in the form of `app/security.py`: the client's id, and a secret part."""
        return self.random(role).apply(lambda secret: f"{client}.{secret}")

    def digest(self, value: pulumi.Output[str]) -> pulumi.Output[str]:
        """Return the hash of a generated value."""
        return value.apply(sha256)

    def receivers(self) -> Values:
        """Return the secrets of the alert receivers, which a person has put into the stack's configuration."""
        receivers = receiver_secrets()

        def value(name: str) -> pulumi.Output[str]:
            return receivers.apply(lambda secrets: _field(secrets, name))

        return {name: value(name) for name in s.ALERT_RECEIVERS.files}

    def login(self, secret: s.SecretSpec, user: str) -> dict[str, pulumi.Output[str]]:
        """Return a user's name, and a generated password."""
        return {"username": _known(user), "password": self.random(secret.name)}

    def postgres(self, secret: s.SecretSpec, user: str, where: Database) -> Values:
        """Return a login of PostgreSQL: a service file where the secret has one, else name and password.

        With it comes, for a database outside the cluster, what its certificate is verified with.
        """
        login = self.login(secret, user)
        trust = {s.CA_FILE: _known(where.certificates)} if where.cidrs else {}
        if s.PG_SERVICE not in secret.files:
            return login | trust
        database = "postgres" if user == "backup" else user
        service = pulumi.Output.all(where.host, login["password"]).apply(
            lambda known: service_file(where, host=known[0], user=user, password=known[1], database=database)
        )
        return {s.PG_SERVICE: service} | trust

    def shared(self, database: Database) -> dict[str, Values]:
        """Return every secret that is generated alike everywhere: all but the API keys and the superuser."""
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
            s.ALERT_RECEIVERS.name: self.receivers(),
        }

    def _cache(self) -> Values:
        password = self.random(s.CACHE_LOGIN.name)
        return {
            "users.acl": self.digest(password).apply(cache_users),
            "redis_url": password.apply(lambda value: f"redis://api:{value}@{CACHE.host}:{CACHE.ports['redis']}/0"),
        }


@dataclass(frozen=True, kw_only=True)
class Templates(Maker):
    """Makes templates in the form of `ops/jobs/rotation/contents.py`: a placeholder wherever a value is generated."""

    def random(self, role: str) -> pulumi.Output[str]:
        """Return the placeholder of a value."""
        return _known("{{" + role + "}}")

    def digest(self, value: pulumi.Output[str]) -> pulumi.Output[str]:
        """Return the placeholder of the hash of a value, of which ``value`` is the placeholder."""
        return value.apply(lambda placeholder: placeholder.replace("{{", "{{sha256:"))

    def receivers(self) -> Values:
        """Return empty values: a person puts the secrets into Secrets Manager."""
        return {name: _known("") for name in s.ALERT_RECEIVERS.files}


def _known(value: str) -> pulumi.Output[str]:
    return pulumi.Output.from_input(value)


def _field(secrets: ReceiverSecrets, name: str) -> str:
    value: str = getattr(secrets, name)
    return value


def sha256(value: str) -> str:
    """Return the hash of a value in hexadecimal."""
    return hashlib.sha256(value.encode()).hexdigest()


def key_file(keys: Sequence[str], scopes: Sequence[str] = ("predict", "admin")) -> str:
    """Return the API's key file in the form of `app/security.py`: the hash and the scopes of each client's key."""
    entries = [
        {
            "id": key.partition(".")[0],
            "sha256": [sha256(key)],
            "scopes": list(scopes),
        }
        for key in keys
    ]
    return json.dumps({"keys": entries})


def service_file(where: Database, *, host: str, user: str, password: str, database: str) -> str:
    """Return a libpq service file with one service; connections to outside the cluster must be verified."""
    lines = {
        "host": host,
        "port": str(where.port),
        "dbname": database,
        "user": user,
        "password": password,
    } | ({"sslmode": where.ssl_mode} if where.cidrs else {})
    return "\n".join([f"[{s.PG_SERVICE_NAME}]", *(f"{key}={value}" for key, value in lines.items()), ""])


CACHE_COMMANDS = ("get", "mget", "set", "exists", "pttl", "incrby", "rename", "evalsha", "script|load")
"""Commands that `app/cache.py` and the scripts of `app/ratelimit.py` use."""


def cache_users(digest: str) -> str:
    """Return Valkey's only user, the API: the hash of its password, its own keys, and the commands that it needs."""
    commands = " ".join(f"+{command}" for command in CACHE_COMMANDS)
    keys = "~churn-score:* ~churn-rate:*"
    return f"user default off\nuser api on #{digest} {keys} -@all +@connection -@admin -@dangerous {commands}\n"
