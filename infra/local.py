"""The cloud of a local cluster: there is none, so the stack makes every secret's value itself."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi_random import RandomPassword

from infra import secret_files as s
from infra.cloud import CloudOutputs, Database
from infra.config import ConfigError, ReceiverSecrets, Settings
from infra.kit.options import stateful
from infra.naming import CACHE, POSTGRES
from infra.settings import receiver_secrets

FIRST_KEY = "local"
"""Id of the API key that a local stack makes for its owner."""


def require_kubeconfig(context: str) -> Path:
    """The kubeconfig that kubectl would take.

    Raises:
        ConfigError: no such file, or no such context in it; nothing has been made by then.
    """
    candidates = [Path(item) for item in os.environ.get("KUBECONFIG", "").split(os.pathsep) if item]
    candidates = candidates or [Path.home() / ".kube" / "config"]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        looked = ", ".join(map(str, candidates))
        raise ConfigError(
            f"there is no kubeconfig at {looked}: start a cluster (kind create cluster) or set KUBECONFIG"
        )
    try:
        content: Any = yaml.safe_load(found.read_text(encoding="utf-8"))
        names = [item["name"] for item in content["contexts"]]
        current = context or content["current-context"]
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ConfigError(f"{found} is no kubeconfig: it needs contexts and current-context ({error!r})") from None
    if current not in names:
        raise ConfigError(f"{found} has no context {current!r}: set churn:cluster.context to one of {sorted(names)}")
    return found


@dataclass(frozen=True, kw_only=True)
class LocalCloudArgs:
    """The stack's settings."""

    settings: Settings


class LocalCloud(pulumi.ComponentResource):
    """Random values for every secret, kept (encrypted) in the stack's state."""

    outputs: CloudOutputs

    def __init__(self, name: str, args: LocalCloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:local:LocalCloud", name, {}, opts)
        key = self._random(name, "api-key", args).apply(lambda secret: f"{FIRST_KEY}.{secret}")
        sources = {
            s.API_KEYS.name: s.KubernetesSource(values={"keys.json": key.apply(key_file)}),
            s.POSTGRES_SUPERUSER.name: s.KubernetesSource(values={"password": self._random(name, "postgres", args)}),
            s.MLFLOW_ADMIN.name: self._login(name, s.MLFLOW_ADMIN, "admin", args, session_key=True),
            s.MLFLOW_API.name: self._login(name, s.MLFLOW_API, "api", args),
            s.MLFLOW_TRAINING.name: self._login(name, s.MLFLOW_TRAINING, "training", args),
            s.POSTGRES_MLFLOW.name: self._postgres(name, s.POSTGRES_MLFLOW, "mlflow", args),
            s.POSTGRES_GRAFANA.name: self._postgres(name, s.POSTGRES_GRAFANA, "grafana", args),
            s.POSTGRES_BACKUP.name: self._postgres(name, s.POSTGRES_BACKUP, "backup", args),
            s.GRAFANA_ADMIN.name: self._grafana(name, args),
            s.CACHE_LOGIN.name: self._cache(name, args),
            s.ALERT_RECEIVERS.name: _receivers(),
        }
        database = Database(host=POSTGRES.host, port=POSTGRES.ports["postgres"])
        self.outputs = CloudOutputs(secrets=sources, database=database, first_api_key=pulumi.Output.secret(key))
        self.register_outputs({})

    def _random(self, name: str, role: str, args: LocalCloudArgs) -> pulumi.Output[str]:
        """43 letters and digits: 256 bits, and nothing that a file format would have to escape."""
        made = RandomPassword(f"{name}-{role}", length=43, special=False, opts=stateful(self, args.settings.state))
        return made.result

    def _login(
        self, name: str, secret: s.SecretSpec, user: str, args: LocalCloudArgs, *, session_key: bool = False
    ) -> s.KubernetesSource:
        values = {"username": _known(user), "password": self._random(name, secret.name, args)}
        if session_key:
            values["session_key"] = self._random(name, f"{secret.name}-session", args)
        return s.KubernetesSource(values=values)

    def _postgres(self, name: str, secret: s.SecretSpec, user: str, args: LocalCloudArgs) -> s.KubernetesSource:
        password = self._random(name, secret.name, args)
        database = "postgres" if user == "backup" else user
        service = password.apply(lambda value: service_file(user, value, database))
        return s.KubernetesSource(values={"username": _known(user), "password": password, s.PG_SERVICE: service})

    def _grafana(self, name: str, args: LocalCloudArgs) -> s.KubernetesSource:
        login = self._login(name, s.GRAFANA_ADMIN, "admin", args)
        secret_key = self._random(name, f"{s.GRAFANA_ADMIN.name}-secret-key", args)
        return s.KubernetesSource(values={**login.values, "secret_key": secret_key})

    def _cache(self, name: str, args: LocalCloudArgs) -> s.KubernetesSource:
        password = self._random(name, s.CACHE_LOGIN.name, args)
        return s.KubernetesSource(values={
            "users.acl": password.apply(cache_users),
            "redis_url": password.apply(lambda value: f"redis://api:{value}@{CACHE.host}:{CACHE.ports['redis']}/0"),
        })  # fmt: skip


def _known(value: str) -> pulumi.Output[str]:
    return pulumi.Output.from_input(value)


def _receivers() -> s.KubernetesSource:
    given = receiver_secrets()

    def value(name: str) -> pulumi.Output[str]:
        return given.apply(lambda secrets: _field(secrets, name))

    return s.KubernetesSource(values={name: value(name) for name in s.ALERT_RECEIVERS.files})


def _field(secrets: ReceiverSecrets, name: str) -> str:
    value: str = getattr(secrets, name)
    return value


def key_file(key: str) -> str:
    """The API's key file with one key, as `app/security.py` reads it: its hash, allowed everything."""
    entry: Mapping[str, object] = {
        "id": FIRST_KEY,
        "sha256": [hashlib.sha256(key.encode()).hexdigest()],
        "scopes": ["predict", "admin"],
    }
    return json.dumps({"keys": [entry]})


def service_file(user: str, password: str, database: str) -> str:
    """A libpq service file with the one service `churn`."""
    lines = {
        "host": POSTGRES.host,
        "port": str(POSTGRES.ports["postgres"]),
        "dbname": database,
        "user": user,
        "password": password,
    }
    return "\n".join(["[churn]", *(f"{key}={value}" for key, value in lines.items()), ""])


CACHE_COMMANDS = ("get", "mget", "set", "exists", "pttl", "incrby", "rename", "evalsha", "script|load")
"""What `app/cache.py` and the scripts of `app/ratelimit.py` call."""


def cache_users(password: str) -> str:
    """Valkey's users: the API with a hashed password, its own keys and the commands it needs, and nobody else."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    commands = " ".join(f"+{command}" for command in CACHE_COMMANDS)
    keys = "~churn-score:* ~churn-rate:*"
    return f"user default off\nuser api on #{digest} {keys} -@all +@connection -@admin -@dangerous {commands}\n"
