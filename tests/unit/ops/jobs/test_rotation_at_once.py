"""Calls of the rotation function at once: no reserved concurrency keeps them apart, so none may undo another's change.

Lambda refuses to reserve concurrency where that leaves an account with less than its minimum, and a new account has
nothing above that (awslabs/fhir-works-on-aws-deployment 691; aws-samples/alarm-context-tool 2).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.rotation import World

from ops.jobs.rotation.options import RotationError
from ops.jobs.rotation.reconcile import Reconciliation, Request
from ops.jobs.rotation.secrets_manager import CURRENT, MOST_TRIES, PENDING, SecretsManager
from ops.jobs.rotation.steps import digest, retire_old_keys, take_step

Content = dict[str, str]


class Between:
    """Boto3's client, which lets something else happen once, after the key file has been read ``reads`` times."""

    def __init__(self, world: World, happens: Any, reads: int = 1) -> None:
        self._world, self._happens, self._reads = world, happens, reads

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.client, name)

    def get_secret_value(self, **arguments: Any) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self._world.client.get_secret_value(**arguments)
        if arguments["SecretId"] == self._world.arns["api-keys"]:
            self._reads -= 1
            if self._reads == 0:
                self._happens()
        return answer


def hashes(world: World, client: str) -> list[str]:
    keys = json.loads(world.value("api-keys")["keys.json"])["keys"]
    return next(list(entry["sha256"]) for entry in keys if entry["id"] == client)


def test_two_clients_whose_keys_rotate_at_once_both_get_their_new_key(world: World) -> None:
    versions = {client: world.begin(client) for client in ("web-shop", "call-center")}
    for client, version in versions.items():
        take_step(world.rotation(client, version), "createSecret")

    def other() -> None:
        take_step(world.rotation("call-center", versions["call-center"]), "setSecret")

    beside = replace(world, client=Between(world, other))
    take_step(beside.rotation("web-shop", versions["web-shop"]), "setSecret")
    assert [len(hashes(world, client)) for client in versions] == [2, 2]
    for client, version in versions.items():
        for step in ("testSecret", "finishSecret"):
            take_step(world.rotation(client, version), step)
        assert world.accepts(world.value(client)["key"])


def test_the_end_of_old_keys_spares_a_key_that_comes_at_that_moment(world: World) -> None:
    world.rotate("web-shop")
    versions: list[str] = []

    def comes() -> None:
        versions.append(world.begin("web-shop"))
        for step in ("createSecret", "setSecret"):
            take_step(world.rotation("web-shop", versions[0]), step)

    beside = replace(world, client=Between(world, comes))
    retire_old_keys(beside.manager, replace(world.options, overlap=timedelta(0)))
    pending = world.manager.read(world.arns["web-shop"], stage=PENDING, version=versions[0])
    assert digest(pending["key"]) in hashes(world, "web-shop")


def test_a_version_from_old_content_never_becomes_current(world: World) -> None:
    arn = world.arns["api-keys"]

    def other() -> None:
        world.manager.write(arn, {"keys.json": "theirs"})

    beside = replace(world, client=Between(world, other))
    assert beside.manager.update(arn, lambda content: {"keys.json": f"{content['keys.json']} and ours"})
    assert world.manager.read(arn) == {"keys.json": "theirs and ours"}
    stages = world.manager.describe(arn)["VersionIdsToStages"].values()
    assert sum(CURRENT in each for each in stages) == 1


def test_content_that_changes_each_time_is_given_up_in_words(world: World) -> None:
    arn = world.arns["api-keys"]
    seen: list[Content] = []

    def change(content: Content) -> Content:
        seen.append(content)
        world.manager.write(arn, {"keys.json": str(len(seen))})
        return {"keys.json": "ours"}

    with pytest.raises(RotationError, match="changed during each of"):
        world.manager.update(arn, change)
    assert len(seen) == MOST_TRIES
    assert world.manager.read(arn) == {"keys.json": str(MOST_TRIES)}


def test_a_deployment_that_removes_a_client_does_not_undo_a_rotation(world: World) -> None:
    version = world.begin("web-shop")
    take_step(world.rotation("web-shop", version), "createSecret")

    def other() -> None:
        take_step(world.rotation("web-shop", version), "setSecret")

    # It reads the file to see whether it may and whether there is one, and then to change it.
    manager = SecretsManager(Between(world, other, reads=3))
    clients = {"web-shop": world.arns["web-shop"]}
    request = Request(secrets={}, keys_secret=world.arns["api-keys"], clients=clients, scopes=["predict"])
    Reconciliation(manager=manager, request=request).run()
    pending = world.manager.read(world.arns["web-shop"], stage=PENDING, version=version)
    assert hashes(world, "web-shop") == [digest(world.keys["web-shop"]), digest(pending["key"])]
    assert [entry["id"] for entry in json.loads(world.value("api-keys")["keys.json"])["keys"]] == ["web-shop"]
