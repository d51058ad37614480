"""An API key rotates while the API process serves, by `ops/jobs/rotate.py`, moto's Secrets Manager and a mounted file.

What Lambda's runtime, Secrets Manager's schedule and the CSI driver do is played by stand-ins, and time runs faster.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from support import s3
from support.bundles import random_customers
from support.mounted_secret import MountedSecret, begin
from support.servers import Api, wait_until
from support.traffic import Traffic

from app.key_watch import KEY_CHECK_SECONDS
from infra.credentials import key_file
from ops.jobs import rotate
from ops.jobs.rotate import STEPS, Options, Store

pytestmark = [pytest.mark.service, pytest.mark.filterwarnings("ignore::ResourceWarning")]

CUSTOMERS = random_customers(50, seed=31)
RATE = 20
CLIENT, OTHER = "web-shop", "call-center"
POLL_SECONDS = 1.0
"""Of the driver's stand-in."""
SETTLE_SECONDS = 2 * POLL_SECONDS + 3 * KEY_CHECK_SECONDS
FETCH_SECONDS = 0.25
"""How often a client looks up which key is the current one."""


@dataclass(frozen=True)
class World:
    """Secrets as the stack makes them, in a Secrets Manager that the function's environment leads to."""

    store: Store
    arns: dict[str, str]

    def key(self, client: str = CLIENT) -> str:
        return self.store.read(self.arns[client])["key"]

    def take(self, *steps: str) -> None:
        """Rotate the client's key; as Secrets Manager would, a step after the other."""
        version = begin(self.arns[CLIENT])
        for step in steps:
            rotate.handler({"SecretId": self.arns[CLIENT], "ClientRequestToken": version, "Step": step}, None)

    def mounted(self, folder: Path) -> MountedSecret:
        return MountedSecret(self.store, self.arns["api-keys"], folder / "keys", poll_seconds=POLL_SECONDS)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with s3.moto() as url:
        manager = s3.client(url, "secretsmanager")
        keys = {name: f"{name}.first" for name in (CLIENT, OTHER)}
        arns = {
            name: manager.create_secret(
                Name=name,
                SecretString=json.dumps({"key": key}),
                Tags=[{"Key": rotate.KIND, "Value": "api-key"}, {"Key": rotate.CLIENT, "Value": name}],
            )["ARN"]
            for name, key in keys.items()
        }
        content = json.dumps({"keys.json": key_file(list(keys.values()), ["predict"])})
        arns["api-keys"] = manager.create_secret(Name="api-keys", SecretString=content)["ARN"]
        settings = s3.environment(url) | {
            "API_KEYS_SECRET": arns["api-keys"],
            "API_CLIENT_SECRETS": json.dumps({name: arns[name] for name in keys}),
            "OVERLAP_DAYS": "7",
            "SETTLE_SECONDS": str(SETTLE_SECONDS),
            # Not asked for an API key.
            "MLFLOW_ADMIN_SECRET": "none",
            "MLFLOW_URL": "https://mlflow.example.com",
            "GRAFANA_URL": "https://grafana.example.com",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield World(Store(manager), arns)


class Fetched:
    """The key as a client has it that looks it up now and then, beside its requests."""

    def __init__(self, world: World) -> None:
        self._world, self._key, self._stopping = world, world.key(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __call__(self) -> str:
        return self._key

    def _run(self) -> None:
        while not self._stopping.wait(FETCH_SECONDS):
            self._key = self._world.key()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(30)


def served(bundles: list[Path], folder: Path) -> Api:
    keys = folder / "keys" / "keys.json"
    return Api(folder / "api", model_source=bundles[0], auth="required", api_keys_file=keys)


def status(api: Api, key: str) -> int:
    return api.client.post("/v1/predict", json=CUSTOMERS[0], headers={"x-api-key": key}).status_code


def go_on(traffic: Traffic) -> None:
    """Let about a second of answers pass."""
    before = traffic.answered
    wait_until(lambda: traffic.answered > before + RATE, "answers go on")


def test_no_request_fails_while_a_key_rotates_and_the_old_one_ends_after_the_overlap(
    world: World, bundles: list[Path], tmp_path: Path
) -> None:
    old = world.key()
    with (
        world.mounted(tmp_path),
        served(bundles, tmp_path) as api,
        Fetched(world) as fetched,
        Traffic(api.url, CUSTOMERS, rate=RATE, key=fetched) as current,
    ):
        with Traffic(api.url, CUSTOMERS, rate=RATE, key=lambda: old) as late:
            world.take(*STEPS)
            new = world.key()
            assert new != old
            go_on(current)
            go_on(late)
            assert [status(api, key) for key in (old, new, world.key(OTHER))] == [200, 200, 200]
            assert rotate.handler({"action": "retire"}, None) == {"retired": []}
        over = replace(Options.read(os.environ), overlap=timedelta(0))
        assert CLIENT in rotate.retire(world.store, over)
        wait_until(lambda: status(api, old) == 401, "the old key is refused")
        assert [status(api, key) for key in (new, world.key(OTHER))] == [200, 200]
        go_on(current)
    for traffic in (current, late):
        assert not traffic.outcome.failures
        assert traffic.outcome.not_sent == 0


def test_a_new_key_given_out_before_the_pods_know_it_would_be_refused(
    world: World, bundles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why `testSecret` waits, and that the test above can fail."""
    monkeypatch.setenv("SETTLE_SECONDS", "0")
    mounted = world.mounted(tmp_path)  # nobody looks the secret up by itself
    with served(bundles, tmp_path) as api:
        world.take(*STEPS)
        assert status(api, world.key()) == 401
        mounted.refresh()
        wait_until(lambda: status(api, world.key()) == 200, "the new key is taken")
