"""An API key rotates while the API serves: `ops/jobs/rotation` with moto's Secrets Manager and a mounted file.

Stand-ins play Lambda's runtime, Secrets Manager's schedule and the CSI driver, and time runs faster.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from support import s3
from support.bundles import random_customers
from support.mounted_secret import MountedSecret
from support.rotation import CLIENTS, World, create_secrets
from support.servers import Api, wait_until
from support.traffic import Traffic

from app.key_watch import KEY_CHECK_SECONDS
from ops.jobs.rotation.handler import handle
from ops.jobs.rotation.options import Options
from ops.jobs.rotation.steps import STEPS, retire_old_keys

pytestmark = [pytest.mark.service, pytest.mark.filterwarnings("ignore::ResourceWarning")]

CUSTOMERS = random_customers(50, seed=31)
RATE = 20
CLIENT, OTHER = CLIENTS
POLL_SECONDS = 1.0
"""How often the driver's stand-in looks for a change."""
SETTLE_SECONDS = 2 * POLL_SECONDS + 3 * KEY_CHECK_SECONDS
FETCH_SECONDS = 0.25
"""How often a client looks up the current key."""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The secrets of a stack in a Secrets Manager that the function's environment leads to."""
    with s3.moto() as url:
        world = create_secrets(s3.client(url, "secretsmanager"))
        for name, value in (s3.environment(url) | world.environment(settle_seconds=SETTLE_SECONDS)).items():
            monkeypatch.setenv(name, value)
        yield world


def key_of(world: World, client: str = CLIENT) -> str:
    return world.value(client)["key"]


def rotate(world: World) -> None:
    """Rotate the client's key by calling the function, one step after the other, as Secrets Manager would."""
    version = world.begin(CLIENT)
    for step in STEPS:
        handle({"SecretId": world.arns[CLIENT], "ClientRequestToken": version, "Step": step}, None)


def mounted(world: World, folder: Path) -> MountedSecret:
    return MountedSecret(world.manager, world.arns["api-keys"], folder / "keys", poll_seconds=POLL_SECONDS)


class Fetched:
    """The key as a client knows it that looks it up now and then, beside its requests."""

    def __init__(self, world: World) -> None:
        self._world, self._key, self._stopping = world, key_of(world), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __call__(self) -> str:
        return self._key

    def _run(self) -> None:
        while not self._stopping.wait(FETCH_SECONDS):
            self._key = key_of(self._world)

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
    old = key_of(world)
    with (
        mounted(world, tmp_path),
        served(bundles, tmp_path) as api,
        Fetched(world) as fetched,
        Traffic(api.url, CUSTOMERS, rate=RATE, key=fetched) as current,
    ):
        with Traffic(api.url, CUSTOMERS, rate=RATE, key=lambda: old) as late:
            rotate(world)
            new = key_of(world)
            assert new != old
            go_on(current)
            go_on(late)
            assert [status(api, key) for key in (old, new, key_of(world, OTHER))] == [200, 200, 200]
            assert handle({"action": "retire"}, None) == {"retired": []}
        over = replace(Options.read(os.environ), overlap=timedelta(0))
        assert CLIENT in retire_old_keys(world.manager, over)
        wait_until(lambda: status(api, old) == 401, "the old key is refused")
        assert [status(api, key) for key in (new, key_of(world, OTHER))] == [200, 200]
        go_on(current)
    for traffic in (current, late):
        assert not traffic.outcome.failures
        assert traffic.outcome.not_sent == 0


def test_a_new_key_given_out_before_the_pods_know_it_would_be_refused(
    world: World, bundles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shows why `testSecret` waits, and that the test above can fail."""
    monkeypatch.setenv("SETTLE_SECONDS", "0")
    secret = mounted(world, tmp_path)  # without `with`, nothing refreshes it by itself
    with served(bundles, tmp_path) as api:
        rotate(world)
        assert status(api, key_of(world)) == 401
        secret.refresh()
        wait_until(lambda: status(api, key_of(world)) == 200, "the new key is taken")
