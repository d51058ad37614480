"""Rotation by moto's Secrets Manager: the secrets of a stack, and a rotation of one of them step by step."""

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

import boto3
from moto import mock_aws
from support.mounted_secret import begin

from app.security import parse_key_file
from infra.credentials import key_file
from ops.jobs import rotate
from ops.jobs.rotate import STEPS, Options, Rotation, Store

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
    """Secrets of a stack, as the program makes them."""

    client: Any
    keys: dict[str, str]
    arns: dict[str, str]
    options: Options
    slept: list[float] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return Store(self.client)

    def begin(self, name: str) -> str:
        return begin(self.arns[name])

    def rotation(self, name: str, version: str, service: Service | None = None) -> Rotation:
        found = rotate.rotation(self.store, self.options, self.arns[name], version)
        send = service.send if service else found.send
        return replace(found, sleep=self.slept.append, send=send)

    def rotate(self, name: str, *, repeat: int = 1, service: Service | None = None) -> str:
        version = self.begin(name)
        for step in STEP_NAMES:
            for _ in range(repeat):
                rotate.step(self.rotation(name, version, service), step)
        return version

    def value(self, name: str) -> dict[str, str]:
        return self.store.read(self.arns[name])

    def accepts(self, key: str) -> bool:
        """What the API makes of the key file that its pods mount."""
        client = key.partition(".")[0]
        _, hashes = parse_key_file(self.value("api-keys")["keys.json"].encode())[client]
        return hashlib.sha256(key.encode()).hexdigest() in hashes


@contextmanager
def secrets_of_a_stack() -> Iterator[World]:
    """As the program leaves them at first; the environment must have some credentials."""
    with mock_aws():
        client = boto3.client("secretsmanager", region_name=REGION)
        keys = {name: f"{name}.first" for name in CLIENTS}
        contents: dict[str, tuple[dict[str, str], dict[str, str]]] = {
            "api-keys": ({"keys.json": key_file(list(keys.values()), ["predict"])}, {}),
            **{name: ({"key": key}, {"churn:rotation": "api-key", "churn:client": name}) for name, key in keys.items()},
            "mlflow-admin": (
                {"username": "admin", "password": "a0", "session_key": "s"},
                {"churn:rotation": "mlflow-admin"},
            ),
            "mlflow-api": ({"username": "api", "password": "p0"}, {"churn:rotation": "mlflow-user"}),
            "grafana-admin": ({"username": "admin", "password": "g0"}, {"churn:rotation": "grafana-admin"}),
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
        yield World(client=client, keys=keys, arns=arns, options=options)
