"""Restoring to a point in time, against moto's RDS, which has instances and their names but no data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.s3 import client, moto

from ops.errors import OpsError
from ops.stack.rds import Rds, _like, moment
from ops.stack.rds_state import INSTANCE, adopt

NAME = "churn-prod"


@pytest.fixture
def url() -> Iterator[str]:
    with moto() as address:
        yield address


@pytest.fixture
def rds(url: str) -> Iterator[Rds]:
    rds = Rds(name=NAME, client=client(url, "rds"), say=lambda _: None, poll_seconds=0)
    rds.client.create_db_instance(
        DBInstanceIdentifier=NAME, DBInstanceClass="db.t4g.medium", Engine="postgres", AllocatedStorage=20,
        MasterUsername="postgres", MasterUserPassword="not-a-secret", MultiAZ=True, DeletionProtection=True,
    )  # fmt: skip
    yield rds
    for name in names(rds):
        rds.client.modify_db_instance(DBInstanceIdentifier=name, DeletionProtection=False)
        rds.client.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


def names(rds: Rds) -> set[str]:
    return {each["DBInstanceIdentifier"] for each in rds.client.describe_db_instances()["DBInstances"]}


def instance(rds: Rds, name: str) -> dict[str, Any]:
    details: dict[str, Any] = rds.client.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    return details


def test_restore_switch_and_clean_up(rds: Rds) -> None:
    address = instance(rds, NAME)["Endpoint"]["Address"]
    first = instance(rds, NAME)["DbiResourceId"]
    assert rds.restore(None) == f"{NAME}-restored"
    restored = instance(rds, f"{NAME}-restored")
    for same in ("DBInstanceClass", "MultiAZ", "DeletionProtection", "VpcSecurityGroups"):
        assert restored[same] == instance(rds, NAME)[same], same
    rds.switch()
    assert names(rds) == {NAME, f"{NAME}-replaced"}
    assert instance(rds, NAME)["Endpoint"]["Address"] == address, "clients find it where the first was"
    assert instance(rds, f"{NAME}-replaced")["DbiResourceId"] == first
    snapshot = rds.clean_up(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert snapshot == f"{NAME}-replaced-20260102-030405"
    assert names(rds) == {NAME}
    snapshots = rds.client.describe_db_snapshots(DBSnapshotIdentifier=snapshot)["DBSnapshots"]
    assert [each["DBInstanceIdentifier"] for each in snapshots] == [f"{NAME}-replaced"]


def test_the_time_is_passed_on_and_one_in_the_future_is_refused(rds: Rds) -> None:
    with pytest.raises(OpsError, match="can be restored up to"):
        rds.restore(datetime.now(UTC) + timedelta(days=1))
    assert names(rds) == {NAME}
    rds.restore(datetime.now(UTC) - timedelta(hours=1))
    assert names(rds) == {NAME, f"{NAME}-restored"}
    with pytest.raises(OpsError, match="exists already"):
        rds.restore(None)


def test_nothing_to_switch_to_and_nothing_to_clean_up(rds: Rds) -> None:
    with pytest.raises(OpsError, match="no database instance 'churn-prod-restored'"):
        rds.switch()
    with pytest.raises(OpsError, match="no database instance 'churn-prod-replaced'"):
        rds.clean_up(datetime.now(UTC))
    assert names(rds) == {NAME}


def test_a_second_switch_waits_for_the_clean_up(rds: Rds) -> None:
    rds.restore(None)
    rds.client.create_db_instance(
        DBInstanceIdentifier=f"{NAME}-replaced", DBInstanceClass="db.t4g.medium", Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="postgres", MasterUserPassword="not-a-secret",
    )  # fmt: skip
    with pytest.raises(OpsError, match="clean it up first"):
        rds.switch()
    assert names(rds) == {NAME, f"{NAME}-restored", f"{NAME}-replaced"}


def test_a_switch_that_fails_midway_restores_the_name(rds: Rds, monkeypatch: pytest.MonkeyPatch) -> None:
    rds.restore(None)
    first, rename = instance(rds, NAME)["DbiResourceId"], Rds._rename

    def fails(self: Rds, old: str, new: str) -> None:
        if old.endswith("-restored"):
            raise OpsError("no")
        rename(self, old, new)

    monkeypatch.setattr(Rds, "_rename", fails)
    with pytest.raises(OpsError, match="no"):
        rds.switch()
    assert instance(rds, NAME)["DbiResourceId"] == first


def test_the_state_learns_the_id_of_the_instance_that_has_the_name(rds: Rds) -> None:
    assert rds.resource_id() == instance(rds, NAME)["DbiResourceId"]
    rds.restore(None)
    with pytest.raises(OpsError, match="does not have the name yet"):
        rds.resource_id()
    rds.switch()
    # Moto gives a restored instance the id of its source, so this shows only that it is found again.
    assert rds.resource_id() == instance(rds, NAME)["DbiResourceId"]


def test_a_restored_instance_is_verified_and_has_a_superuser_like_the_first() -> None:
    source = {
        "DBInstanceClass": "db.m7g.large", "MultiAZ": True, "DeletionProtection": True,
        "CACertificateIdentifier": "rds-ca-rsa2048-g1",
        "MasterUserSecret": {"SecretArn": "arn:first", "KmsKeyId": "arn:key", "SecretStatus": "active"},
    }  # fmt: skip
    settings = _like(source)
    assert settings["CACertificateIdentifier"] == "rds-ca-rsa2048-g1"
    assert (settings["ManageMasterUserPassword"], settings["MasterUserSecretKmsKeyId"]) == (True, "arn:key")
    assert "ManageMasterUserPassword" not in _like({**source, "MasterUserSecret": {}})


class State:
    """A stand-in for Pulumi's backend: one exported state, and what was imported."""

    def __init__(self, **deployment: Any) -> None:
        database = {"type": INSTANCE, "id": "db-FIRST", "inputs": {"identifier": NAME}, "outputs": {"id": "db-FIRST"}}
        secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:abc"}
        other = {"type": "aws:s3/bucket:Bucket", "id": "b", "inputs": {"of": secret}, "outputs": {}}
        self.exported: dict[str, Any] = {"version": 3, "deployment": {"resources": [other, database], **deployment}}
        self.imported: dict[str, Any] = {}

    def run(self, words: list[str], text: str) -> str:
        assert words[2:] == ["--stack", "prod"]
        if words[:2] == ["stack", "import"]:
            self.imported = json.loads(text)
            return ""
        assert words[:2] == ["stack", "export"]
        return json.dumps(self.exported)


def test_only_the_id_of_the_database_changes_in_the_state() -> None:
    state = State()
    assert adopt(state.run, "prod", NAME, "db-SECOND")
    other, database = state.imported["deployment"]["resources"]
    assert (database["id"], database["outputs"]) == ("db-SECOND", {"id": "db-SECOND", "resourceId": "db-SECOND"})
    assert (other, database["inputs"]) == (state.exported["deployment"]["resources"][0], {"identifier": NAME})
    again = State()
    assert not adopt(again.run, "prod", NAME, "db-FIRST")
    assert again.imported == {}


@pytest.mark.parametrize(
    ("deployment", "name", "reason"),
    [
        ({"pending_operations": [{}]}, NAME, "did not end: run `pulumi refresh --stack prod` first"),
        ({}, "another", "has 0 databases with the name another"),
        ({"resources": []}, NAME, "has 0 databases"),
    ],
)
def test_a_state_without_this_database_stays_as_it_is(deployment: dict[str, Any], name: str, reason: str) -> None:
    state = State(**deployment)
    with pytest.raises(OpsError, match=reason):
        adopt(state.run, "prod", name, "db-SECOND")
    assert state.imported == {}


def test_an_unknown_instance_is_named(url: str) -> None:
    other = Rds(name="other", client=client(url, "rds"), say=lambda _: None)
    with pytest.raises(OpsError, match="no database instance 'other'"):
        other.restore(None)


def test_a_time_must_have_a_zone() -> None:
    assert moment("latest") is None
    assert moment("2026-01-31T14:45:00+01:00") == datetime(2026, 1, 31, 13, 45, tzinfo=UTC)
    for text in ("yesterday", "2026-01-31T14:45:00"):
        with pytest.raises(OpsError, match=text):
            moment(text)
