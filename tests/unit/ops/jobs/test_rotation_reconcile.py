"""First values, and the clients of the key file: what a deployment asks of the rotation function, on moto."""

from __future__ import annotations

import configparser
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from support.recorder import recorded
from support.rotation import REGION, World

from app.security import parse_key_file
from infra.secret_files import ALL, POSTGRES_SUPERUSER
from ops.jobs.rotation.contents import filled, problems
from ops.jobs.rotation.options import RotationError
from ops.jobs.rotation.reconcile import Reconciliation, Request
from ops.jobs.rotation.secrets_manager import SecretsManager

SERVICE = "[churn]\nhost={host}\npassword={{{{postgres-mlflow}}}}\n"


def created(world: World, name: str) -> str:
    """A secret without a value, as the program creates it."""
    arn: str = world.client.create_secret(Name=name)["ARN"]
    return arn


def reconcile(world: World, secrets: Mapping[str, Mapping[str, str]], clients: Mapping[str, str]) -> list[str]:
    request = Request(secrets=secrets, keys_secret=world.arns["api-keys"], clients=clients, scopes=["predict"])
    return Reconciliation(manager=world.manager, request=request, sleep=world.slept.append).run()["written"]


def clients_of(world: World) -> dict[str, str]:
    return dict(world.options.client_secrets)


def mounted_files(stack: str) -> dict[str, set[str]]:
    """The files that pods of a stack mount, by the name of their secret."""
    return {
        described["objectName"].rpartition("/")[2].removesuffix("-recorded"): {
            file["objectAlias"] for file in described["jmesPath"]
        }
        for item in recorded(stack).resources
        if item.inputs.get("kind") == "SecretProviderClass"
        for described in json.loads(item.inputs["spec"]["parameters"]["objects"])
    }


def test_the_programs_own_request_gives_every_secret_the_files_that_pods_mount(world: World) -> None:
    (call,) = [item for item in recorded("prod").resources if item.type == "aws:lambda/invocation:Invocation"]
    event: dict[str, Any] = json.loads(call.inputs["input"])
    assert event["action"] == "reconcile"
    names = {arn: arn.rpartition("/")[2].removesuffix("-recorded") for arn in event["secrets"]}
    arns = {arn: created(world, f"new/{name}") for arn, name in names.items()}
    clients = {client: created(world, f"new/{client}") for client in event["clients"]}
    request = replace(
        Request.read(event),
        secrets={arns[arn]: files for arn, files in event["secrets"].items()},
        keys_secret=created(world, "new/api-keys"),
        clients=clients,
    )
    Reconciliation(manager=world.manager, request=request).run()
    contents = {names[arn]: world.manager.read(arns[arn]) for arn in names} | {
        "api-keys": world.manager.read(request.keys_secret)
    }
    assert set(contents) == {spec.name for spec in ALL if spec is not POSTGRES_SUPERUSER}
    mounts = {name: files for name, files in mounted_files("prod").items() if name in contents}
    assert {name: set(content) for name, content in contents.items()} == mounts
    assert "{{" not in json.dumps(contents)
    entries = parse_key_file(contents["api-keys"]["keys.json"].encode())
    for client, arn in clients.items():
        principal, hashes = entries[client]
        assert principal.scopes == {"predict"}
        assert hashes == [hashlib.sha256(world.manager.read(arn)["key"].encode()).hexdigest()]
    service = configparser.ConfigParser()
    service.read_string(contents["postgres-mlflow"]["pg_service.conf"])
    password = contents["cache-login"]["redis_url"].split(":")[2].partition("@")[0]
    assert f"#{hashlib.sha256(password.encode()).hexdigest()} " in contents["cache-login"]["users.acl"]
    values = [service["churn"]["password"], password, contents["mlflow-admin"]["session_key"]]
    assert {len(value) for value in values} == {43}
    assert len(set(values)) == 3
    assert Reconciliation(manager=world.manager, request=request).run() == {"written": []}


def test_values_that_are_there_stay_and_only_what_is_missing_is_added(world: World) -> None:
    arn = created(world, "receivers")
    world.manager.write(arn, {"slack_url": "https://hooks.example.com/x"})
    secrets = {arn: {"slack_url": "", "smtp_password": ""}, world.arns["mlflow-admin"]: {"password": "{{p}}"}}
    assert reconcile(world, secrets, clients_of(world)) == [arn]
    assert world.manager.read(arn) == {"slack_url": "https://hooks.example.com/x", "smtp_password": ""}
    assert world.value("mlflow-admin")["password"] == "a0"  # noqa: S105 - of this test


def test_a_client_that_is_added_works_and_one_that_is_removed_stops(world: World) -> None:
    world.rotate("web-shop")
    old, new = world.keys["web-shop"], world.value("web-shop")["key"]
    added = created(world, "batch")
    clients = {"web-shop": world.arns["web-shop"], "batch": added}
    assert reconcile(world, {}, clients) == [added, world.arns["api-keys"]]
    key = world.manager.read(added)["key"]
    assert key.startswith("batch.")
    assert world.accepts(key)
    assert world.accepts(old), "its overlap is not over"
    assert world.accepts(new)
    entries = parse_key_file(world.value("api-keys")["keys.json"].encode())
    assert set(entries) == set(clients)
    assert reconcile(world, {}, clients) == []


def test_the_key_of_a_client_whose_hash_was_lost_works_again(world: World) -> None:
    world.manager.write(world.arns["api-keys"], {"keys.json": '{"keys": []}'})
    reconcile(world, {}, clients_of(world))
    assert world.accepts(world.keys["web-shop"])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ('{"slack_url": 7}', "slack_url is a number, not a text: put it in quotation marks"),
        ('{"slack_url": null}', "slack_url is null"),
        ('{"slack_url": {"url": "canary"}}', "slack_url is an object"),
        ('["canary"]', "it is not an object with the keys slack_url"),
        ("canary", "it is not an object with the keys slack_url"),
    ],
)
def test_a_value_that_no_pod_could_mount_is_named_and_all_else_is_done(world: World, value: str, reason: str) -> None:
    wrong, right, added = created(world, "receivers"), created(world, "right"), created(world, "batch")
    world.client.put_secret_value(SecretId=wrong, SecretString=value)
    with pytest.raises(RotationError) as caught:
        reconcile(world, {wrong: {"slack_url": ""}, right: {"password": "{{p}}"}}, {"batch": added})
    assert str(caught.value).startswith(f"{wrong}: {reason}")
    assert "canary" not in str(caught.value)
    assert len(world.manager.read(right)["password"]) == 43
    assert world.accepts(world.manager.read(added)["key"])
    assert set(parse_key_file(world.value("api-keys")["keys.json"].encode())) == {"batch"}


def test_a_missing_key_is_a_problem_too() -> None:
    assert problems({"a": "x"}, {"a": "", "b": ""}) == ["b is missing"]


def test_a_file_follows_a_new_address_with_the_password_that_it_has() -> None:
    files = {"pg_service.conf": SERVICE.format(host="new.example.com")}
    old = {"pg_service.conf": "[churn]\nhost=old.example.com\nsslmode=require\npassword=by-hand_1\n"}
    assert filled(files, old) == {"pg_service.conf": "[churn]\nhost=new.example.com\npassword=by-hand_1\n"}


def test_a_file_whose_password_cannot_be_recognised_stays() -> None:
    old = {"pg_service.conf": "[churn]\npassfile=/somewhere\n"}
    assert filled({"pg_service.conf": SERVICE.format(host="new.example.com")}, old) == old


class NoRightsYet:
    """A client that is refused until the rights of its role have arrived."""

    def __init__(self, client: Any, refusals: int) -> None:
        self._client, self._left = client, refusals
        self.exceptions = client.exceptions

    def __getattr__(self, name: str) -> Any:
        if self._left > 0:
            self._left -= 1
            error = {"Error": {"Code": "AccessDeniedException", "Message": "not yet"}}
            raise ClientError(error, "GetSecretValue")
        return getattr(self._client, name)


@pytest.mark.parametrize("refusals", [0, 3])
def test_rights_that_take_a_while_are_waited_for(world: World, refusals: int) -> None:
    manager = SecretsManager(NoRightsYet(boto3.client("secretsmanager", region_name=REGION), refusals))
    request = Request(secrets={}, keys_secret=world.arns["api-keys"], clients=clients_of(world), scopes=["predict"])
    Reconciliation(manager=manager, request=request, sleep=world.slept.append).run()
    assert len(world.slept) == refusals


def test_rights_that_never_come_end_the_call(world: World) -> None:
    manager = SecretsManager(NoRightsYet(boto3.client("secretsmanager", region_name=REGION), 10_000))
    request = Request(secrets={}, keys_secret=world.arns["api-keys"], clients=clients_of(world), scopes=["predict"])
    with pytest.raises(ClientError, match="AccessDeniedException"):
        Reconciliation(manager=manager, request=request, sleep=world.slept.append).run()
    assert sum(world.slept) <= 125
