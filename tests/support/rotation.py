"""The secrets of a stack in moto's Secrets Manager, and a rotation of one of them step by step."""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

import pytest
from moto.secretsmanager.models import FakeSecret, SecretsManagerBackend
from support.aws_api import account
from support.mounted_secret import begin

from app.security import parse_key_file
from infra.credentials import key_file
from ops.jobs.rotation.options import Options
from ops.jobs.rotation.secrets_manager import SecretsManager
from ops.jobs.rotation.steps import CLIENT, KIND, STEPS, Rotation, rotation_of, take_step

REGION: Final = "eu-central-1"
CLIENTS: Final = ("web-shop", "call-center")
STEP_NAMES: Final = list(STEPS)


@dataclass
class Service:
    """A stand-in for MLflow and Grafana: users with passwords, and the requests that change them."""

    passwords: dict[str, str]
    changed: list[str] = field(default_factory=list)

    def send(self, request: urllib.request.Request) -> int:
        who, _, password = base64.b64decode(request.headers["Authorization"].split()[1]).decode().partition(":")
        if self.passwords.get(who) != password:
            return 401
        if request.data is not None:
            assert isinstance(request.data, bytes)
            body = json.loads(request.data)
            user = body.get("username", who)
            self.passwords[user] = body.get("password") or body["newPassword"]
            self.changed.append(f"{request.method} {request.full_url}")
        return 200


@dataclass
class World:
    """The secrets of a stack, as the program makes them."""

    client: Any
    keys: dict[str, str]
    arns: dict[str, str]
    options: Options
    slept: list[float] = field(default_factory=list)

    @property
    def manager(self) -> SecretsManager:
        return SecretsManager(self.client)

    def environment(self, *, settle_seconds: float) -> dict[str, str]:
        """The function's environment, as the program sets it."""
        return {
            "API_KEYS_SECRET": self.options.api_keys_secret,
            "MLFLOW_ADMIN_SECRET": self.options.mlflow_admin_secret,
            "MLFLOW_URL": self.options.mlflow_url,
            "GRAFANA_URL": self.options.grafana_url,
            "OVERLAP_DAYS": str(self.options.overlap.days),
            "SETTLE_SECONDS": str(settle_seconds),
            "API_CLIENT_SECRETS": json.dumps(dict(self.options.client_secrets)),
        }

    def begin(self, name: str) -> str:
        """Announce a rotation of a secret; returns the id of the new version."""
        return begin(self.arns[name])

    def rotation(self, name: str, version: str, service: Service | None = None) -> Rotation:
        """A rotation that notes its waits instead of sleeping, and talks to a stand-in of the service."""
        rotation = rotation_of(self.manager, self.options, self.arns[name], version)
        send = service.send if service else rotation.send
        return replace(rotation, sleep=self.slept.append, send=send)

    def rotate(self, name: str, *, repeat: int = 1, service: Service | None = None) -> str:
        """Rotate a secret, with each step taken ``repeat`` times; returns the id of the new version."""
        version = self.begin(name)
        for step in STEP_NAMES:
            for _ in range(repeat):
                take_step(self.rotation(name, version, service), step)
        return version

    def value(self, name: str) -> dict[str, str]:
        """The current value of a secret."""
        return self.manager.read(self.arns[name])

    def accepts(self, key: str) -> bool:
        """Whether the API takes a key, by the key file that its pods mount."""
        client = key.partition(".")[0]
        _, hashes = parse_key_file(self.value("api-keys")["keys.json"].encode())[client]
        return hashlib.sha256(key.encode()).hexdigest() in hashes


def create_secrets(client: Any) -> World:
    """Create the secrets of a stack with their first values; ``client`` is boto3's."""
    keys = {name: f"{name}.first" for name in CLIENTS}
    contents: dict[str, tuple[dict[str, str], dict[str, str]]] = {
        "api-keys": ({"keys.json": key_file(list(keys.values()), ["predict"])}, {}),
        **{name: ({"key": key}, {KIND: "api-key", CLIENT: name}) for name, key in keys.items()},
        "mlflow-admin": ({"username": "admin", "password": "a0", "session_key": "s"}, {KIND: "mlflow-admin"}),
        "mlflow-api": ({"username": "api", "password": "p0"}, {KIND: "mlflow-user"}),
        "grafana-admin": ({"username": "admin", "password": "g0"}, {KIND: "grafana-admin"}),
    }
    arns = {
        name: client.create_secret(
            Name=name,
            SecretString=json.dumps(content),
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )["ARN"]
        for name, (content, tags) in contents.items()
    }
    options = Options(
        api_keys_secret=arns["api-keys"],
        mlflow_admin_secret=arns["mlflow-admin"],
        mlflow_url="https://mlflow.example.com",
        grafana_url="https://grafana.example.com",
        overlap=timedelta(days=7),
        settle_seconds=300,
        client_secrets={name: arns[name] for name in CLIENTS},
    )
    return World(client=client, keys=keys, arns=arns, options=options)


@contextmanager
def secrets_of_a_stack() -> Iterator[World]:
    """Secrets with their first values, in a moto of this process."""
    with account(REGION) as session, moved_defaults():
        yield create_secrets(session.client("secretsmanager"))


@contextmanager
def moved_defaults() -> Iterator[None]:
    """Let moto notice when the stage AWSCURRENT is moved.

    It keeps the current version twice and moves one of them, so a later write would leave two current versions. In
    Secrets Manager a stage is at one version at most (`UpdateSecretVersionStage`).
    """
    original = SecretsManagerBackend.update_secret_version_stage

    def moving(
        self: SecretsManagerBackend,
        secret_id: str,
        version_stage: str,
        remove_from_version_id: str,
        move_to_version_id: str,
    ) -> Any:
        answer = original(self, secret_id, version_stage, remove_from_version_id, move_to_version_id)
        secret = self.secrets[secret_id]
        if version_stage == "AWSCURRENT" and isinstance(secret, FakeSecret):
            secret.default_version_id = move_to_version_id
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SecretsManagerBackend, "update_secret_version_stage", moving)
        yield
