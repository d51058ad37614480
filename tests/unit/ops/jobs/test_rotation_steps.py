"""Rotation against moto's Secrets Manager: four steps, retried and interrupted, the overlap, the end of old keys."""

from __future__ import annotations

import json
import urllib.request
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import ValidationError
from support.rotation import STEP_NAMES, Service, World

from app.security import KeyEntry
from infra.aws import secret_store
from infra.credentials import key_file
from ops.jobs.rotation import steps
from ops.jobs.rotation.handler import handle
from ops.jobs.rotation.options import RotationError
from ops.jobs.rotation.secrets_manager import PENDING
from ops.jobs.rotation.steps import retire_old_keys, rotation_of, take_step


@pytest.mark.parametrize("repeat", [1, 2])
def test_a_key_is_rotated_with_an_overlap_and_each_step_may_come_twice(world: World, repeat: int) -> None:
    old, other = world.keys["web-shop"], world.keys["call-center"]
    world.rotate("web-shop", repeat=repeat)
    new = world.value("web-shop")["key"]
    assert new != old
    assert new.startswith("web-shop.")
    assert world.accepts(old)
    assert world.accepts(new)
    assert world.accepts(other)


def test_the_client_gets_the_new_key_only_after_every_pod_knows_it(world: World) -> None:
    version = world.begin("web-shop")
    for step in STEP_NAMES[:2]:
        take_step(world.rotation("web-shop", version), step)
    pending = world.manager.read(world.arns["web-shop"], stage=PENDING, version=version)["key"]
    assert world.accepts(pending)
    assert world.value("web-shop")["key"] == world.keys["web-shop"]
    take_step(world.rotation("web-shop", version), "testSecret")
    (waited,) = world.slept
    assert 290 < waited <= 300
    assert world.value("web-shop")["key"] == world.keys["web-shop"]
    take_step(world.rotation("web-shop", version), "finishSecret")
    assert world.value("web-shop")["key"] == pending


@pytest.mark.parametrize("broken", STEP_NAMES)
@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after its effect"])
def test_an_interrupted_rotation_starts_again_and_succeeds(
    world: World,
    broken: str,
    after: bool,  # noqa: FBT001 - a column of the table
) -> None:
    old = world.keys["web-shop"]
    version = world.begin("web-shop")
    for step in STEP_NAMES[: STEP_NAMES.index(broken) + after]:
        take_step(world.rotation("web-shop", version), step)
    assert world.accepts(world.value("web-shop")["key"]), "whatever the client has is taken at any time"
    for step in STEP_NAMES:
        take_step(world.rotation("web-shop", version), step)
    new = world.value("web-shop")["key"]
    assert new != old
    assert world.accepts(old)
    assert world.accepts(new)
    entry = next(e for e in json.loads(world.value("api-keys")["keys.json"])["keys"] if e["id"] == "web-shop")
    assert len(entry["sha256"]) == 2


def test_an_old_key_is_refused_after_its_overlap_and_not_before(world: World) -> None:
    world.rotate("web-shop")
    new = world.value("web-shop")["key"]
    assert retire_old_keys(world.manager, world.options) == []
    assert world.accepts(world.keys["web-shop"])

    over = replace(world.options, overlap=timedelta(0))
    assert retire_old_keys(world.manager, over) == ["web-shop"]
    assert not world.accepts(world.keys["web-shop"])
    assert world.accepts(new)
    assert world.accepts(world.keys["call-center"])
    assert retire_old_keys(world.manager, over) == []


def test_a_pending_key_is_not_taken_for_an_old_one(world: World) -> None:
    version = world.begin("web-shop")
    for step in STEP_NAMES[:2]:
        take_step(world.rotation("web-shop", version), step)
    pending = world.manager.read(world.arns["web-shop"], stage=PENDING, version=version)["key"]
    assert retire_old_keys(world.manager, replace(world.options, overlap=timedelta(0))) == []
    assert world.accepts(pending)


def test_the_next_rotation_ends_the_oldest_key(world: World) -> None:
    seen = [world.keys["web-shop"]]
    for _ in range(2):
        world.rotate("web-shop")
        seen.append(world.value("web-shop")["key"])
    assert [world.accepts(key) for key in seen] == [False, True, True]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("mlflow-api", "PATCH https://mlflow.example.com/api/2.0/mlflow/users/update-password"),
        ("mlflow-admin", "PATCH https://mlflow.example.com/api/2.0/mlflow/users/update-password"),
        ("grafana-admin", "PUT https://grafana.example.com/api/user/password"),
    ],
)
@pytest.mark.parametrize("repeat", [1, 2])
def test_a_password_is_changed_in_its_service_once(world: World, name: str, call: str, repeat: int) -> None:
    service = Service({"admin": "g0" if name == "grafana-admin" else "a0", "api": "p0"})
    before = world.value(name)
    world.rotate(name, repeat=repeat, service=service)
    after = world.value(name)
    assert service.changed == [call]
    assert service.passwords[after["username"]] == after["password"] != before["password"]
    assert after.keys() == before.keys()


def nobody(request: urllib.request.Request) -> int:
    raise RotationError(f"{request.host} does not answer")


@pytest.mark.parametrize("name", ["web-shop", "mlflow-api", "mlflow-admin", "grafana-admin"])
@pytest.mark.parametrize("with_value", [False, True])
def test_a_schedule_can_be_set_before_any_service_exists(
    world: World,
    name: str,
    with_value: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Secrets Manager then calls `testSecret` alone; the pending version has the present value, as moto's PR 8547 says,
    or none, as before any `createSecret`."""
    version = world.begin(name)
    if with_value:
        world.manager.write(world.arns[name], world.value(name), stage=PENDING, version=version)
    take_step(replace(world.rotation(name, version), send=nobody), "testSecret")
    assert world.slept == []


def test_a_version_without_a_value_never_becomes_the_current_one(world: World) -> None:
    version = world.begin("mlflow-api")
    with pytest.raises(RotationError, match="has no value: the first step failed"):
        take_step(world.rotation("mlflow-api", version), "finishSecret")
    assert world.value("mlflow-api")["password"] == "p0"  # noqa: S105 - of this test


@pytest.mark.parametrize("name", ["mlflow-api", "mlflow-admin", "grafana-admin"])
def test_a_service_whose_database_was_restored_still_knows_the_previous_password(world: World, name: str) -> None:
    before = {"admin": "g0" if name == "grafana-admin" else "a0", "api": "p0"}
    service = Service(dict(before))
    administrator = "grafana-admin" if name == "grafana-admin" else "mlflow-admin"
    for secret in {administrator, name}:
        world.rotate(secret, service=service)
    service.passwords = dict(before)
    world.rotate(name, service=service)
    after = world.value(name)
    assert service.passwords[after["username"]] == after["password"] not in before.values()


def test_a_change_of_the_key_file_that_another_call_overwrote_is_noticed(world: World) -> None:
    version = world.begin("web-shop")
    before = world.value("api-keys")
    for step in STEP_NAMES[:2]:
        take_step(world.rotation("web-shop", version), step)
    rotation = replace(
        world.rotation("web-shop", version),
        sleep=lambda _seconds: world.manager.write(world.arns["api-keys"], before),
    )
    with pytest.raises(RotationError, match="another call has overwritten its change"):
        take_step(rotation, "testSecret")


def test_a_service_that_refuses_leaves_the_old_password_in_force(world: World) -> None:
    service = Service({"admin": "somebody changed it by hand", "api": "p0"})
    version = world.begin("mlflow-api")
    take_step(world.rotation("mlflow-api", version, service), "createSecret")
    with pytest.raises(RotationError, match="answers 401: the password of api stays as it was") as caught:
        take_step(world.rotation("mlflow-api", version, service), "setSecret")
    assert "p0" not in str(caught.value)
    assert world.value("mlflow-api")["password"] == "p0"  # noqa: S105 - of this test


def test_a_secret_that_is_not_being_rotated_is_refused(world: World) -> None:
    with pytest.raises(RotationError, match="has no tag churn:rotation"):
        rotation_of(world.manager, world.options, world.arns["api-keys"], "v")
    (current,) = world.manager.describe(world.arns["web-shop"])["VersionIdsToStages"]
    world.client.put_secret_value(SecretId=world.arns["web-shop"], SecretString="{}")
    with pytest.raises(RotationError, match=r"version .* is not pending"):
        take_step(world.rotation("web-shop", current), "createSecret")
    world.manager.write(world.arns["web-shop"], {"key": world.keys["web-shop"]})
    version = world.rotate("web-shop")
    with pytest.raises(RotationError, match="has no version"):
        take_step(world.rotation("web-shop", str(uuid.uuid4())), "createSecret")
    key = world.value("web-shop")["key"]
    take_step(world.rotation("web-shop", version), "createSecret")  # finished already
    assert world.value("web-shop")["key"] == key


def test_a_client_that_is_missing_in_the_key_file_is_named(world: World) -> None:
    world.manager.write(world.arns["api-keys"], {"keys.json": key_file(["other.key"])})
    version = world.begin("web-shop")
    take_step(world.rotation("web-shop", version), "createSecret")
    with pytest.raises(RotationError, match="the key file has no client web-shop"):
        take_step(world.rotation("web-shop", version), "setSecret")


def test_the_function_reads_its_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = world.environment(settle_seconds=0) | {"AWS_DEFAULT_REGION": "eu-central-1"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    version = world.begin("web-shop")
    for step in STEP_NAMES:
        event = {"SecretId": world.arns["web-shop"], "ClientRequestToken": version, "Step": step}
        assert handle(event, None) == {}
    assert world.accepts(world.value("web-shop")["key"])
    assert handle({"action": "retire"}, None) == {"retired": []}


def test_the_api_accepts_as_many_hashes_of_a_client_as_rotation_writes() -> None:
    def entry(hashes: int) -> KeyEntry:
        return KeyEntry(id="web-shop", sha256=["0" * 64] * hashes, scopes=["predict"])

    assert len(entry(steps.MAX_HASHES).sha256) == steps.MAX_HASHES
    with pytest.raises(ValidationError, match="at most"):
        entry(steps.MAX_HASHES + 1)


def test_the_tags_of_the_stacks_secrets_are_those_that_the_function_reads() -> None:
    assert (steps.KIND, steps.CLIENT) == (secret_store.KIND, secret_store.CLIENT)
    assert {steps.MLFLOW_ADMIN, steps.GRAFANA_ADMIN} < set(secret_store.ROTATED.values())
