"""Restores the RDS database as of any second of the last days: into a new instance, which then takes over the name.

The database's address is made of that name, so after the switch every client reaches the restored database without a
change of configuration. The replaced instance stays, unused, until it is cleaned up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ops.errors import OpsError, TemporaryError

RESTORED: Final = "-restored"
REPLACED: Final = "-replaced"
WAIT_SECONDS: Final = 3 * 3600
POLL_SECONDS: Final = 15.0
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Rds:
    """One database instance, and the client that manages it."""

    name: str
    client: Any
    say: Say
    poll_seconds: float = POLL_SECONDS

    @classmethod
    def connect(cls, name: str, say: Say) -> Rds:
        """Manage an instance with the credentials and region of the environment."""
        return cls(name=name, client=boto3.client("rds"), say=say)

    def restore(self, at: datetime | None) -> str:
        """Restore into ``<name>-restored``, as of ``at`` or of the latest possible time; returns the new name.

        Raises:
            OpsError: there is no such instance, the time is not available, or a restored instance exists already.
        """
        source, target = self._required(self.name), f"{self.name}{RESTORED}"
        if self._find(target) is not None:
            raise OpsError(f"{target} exists already: switch to it, or delete it first")
        latest = source["LatestRestorableTime"]
        if at is not None and at > latest:
            raise OpsError(f"{self.name} can be restored up to {latest:%Y-%m-%d %H:%M:%S} UTC, not to {at:%H:%M:%S}")
        moment: dict[str, Any] = {"UseLatestRestorableTime": True} if at is None else {"RestoreTime": at}
        _call(
            self.client.restore_db_instance_to_point_in_time,
            SourceDBInstanceIdentifier=self.name,
            TargetDBInstanceIdentifier=target,
            **moment,
            **_like(source),
        )
        self.say(f"{target} is being created, as of {at or latest:%Y-%m-%d %H:%M:%S} UTC")
        self._wait(target)
        return target

    def switch(self) -> None:
        """Give the name to the restored instance, and the name ``<name>-replaced`` to the present one.

        Raises:
            OpsError: nothing was restored, or an earlier replaced instance still exists; the names stay as they were.
        """
        restored, replaced = f"{self.name}{RESTORED}", f"{self.name}{REPLACED}"
        self._required(restored)
        if self._find(replaced) is not None:
            raise OpsError(f"{replaced} still exists from an earlier switch: clean it up first")
        if self._find(self.name) is not None:
            self._rename(self.name, replaced)
        try:
            self._rename(restored, self.name)
        except OpsError:
            if self._find(replaced) is not None:
                self._rename(replaced, self.name)
            raise

    def resource_id(self) -> str:
        """Return the id that RDS gave the instance that has the name now.

        Raises:
            OpsError: there is none, or a restored one still waits for the name.
        """
        instance = self._required(self.name)
        if self._find(f"{self.name}{RESTORED}") is not None:
            raise OpsError(f"{self.name}{RESTORED} does not have the name yet: switch first, or delete it")
        return str(instance["DbiResourceId"])

    def clean_up(self, now: datetime) -> str:
        """Delete the replaced instance after a final snapshot; returns the snapshot's name.

        Raises:
            OpsError: there is no replaced instance, or nothing has taken its place.
        """
        replaced = f"{self.name}{REPLACED}"
        self._required(replaced)
        if (present := self._required(self.name))["DBInstanceStatus"] != "available":
            raise OpsError(f"{self.name} is {present['DBInstanceStatus']}: {replaced} is kept until it is available")
        snapshot = f"{replaced}-{now:%Y%m%d-%H%M%S}"
        _call(
            self.client.modify_db_instance,
            DBInstanceIdentifier=replaced,
            DeletionProtection=False,
            ApplyImmediately=True,
        )
        _call(self.client.delete_db_instance, DBInstanceIdentifier=replaced, FinalDBSnapshotIdentifier=snapshot)
        self.say(f"{replaced} is being deleted; its last state is kept as the snapshot {snapshot}")
        return snapshot

    def _rename(self, old: str, new: str) -> None:
        _call(
            self.client.modify_db_instance, DBInstanceIdentifier=old, NewDBInstanceIdentifier=new, ApplyImmediately=True
        )
        self._wait(new)
        self.say(f"{old} is now {new}")

    def _find(self, name: str) -> dict[str, Any] | None:
        try:
            answer = self.client.describe_db_instances(DBInstanceIdentifier=name)
        except ClientError as error:
            if error.response["Error"]["Code"] in {"DBInstanceNotFound", "DBInstanceNotFoundFault"}:
                return None
            raise _translated(error) from None
        except BotoCoreError as error:
            raise _translated(error) from None
        instance: dict[str, Any] = answer["DBInstances"][0]
        return instance

    def _required(self, name: str) -> dict[str, Any]:
        instance = self._find(name)
        if instance is None:
            raise OpsError(f"there is no database instance {name!r} in this account and region")
        return instance

    def _wait(self, name: str) -> None:
        """Wait until an instance is available; a renamed one cannot be looked up for a while."""
        deadline = time.monotonic() + WAIT_SECONDS
        while (instance := self._find(name)) is None or instance["DBInstanceStatus"] != "available":
            if time.monotonic() > deadline:
                raise TemporaryError(f"{name} is not available after {WAIT_SECONDS // 3600} hours: see its events")
            time.sleep(self.poll_seconds)


def _like(source: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that RDS would not copy from the source but set to a default."""
    settings: dict[str, Any] = {
        "DBInstanceClass": source["DBInstanceClass"],
        "MultiAZ": source["MultiAZ"],
        "DeletionProtection": source["DeletionProtection"],
        "PubliclyAccessible": source.get("PubliclyAccessible", False),
        "EnableIAMDatabaseAuthentication": source.get("IAMDatabaseAuthenticationEnabled", False),
        "CopyTagsToSnapshot": source.get("CopyTagsToSnapshot", False),
        "VpcSecurityGroupIds": [group["VpcSecurityGroupId"] for group in source.get("VpcSecurityGroups", ())],
    }
    if subnets := source.get("DBSubnetGroup"):
        settings["DBSubnetGroupName"] = subnets["DBSubnetGroupName"]
    for group in source.get("DBParameterGroups", ())[:1]:
        settings["DBParameterGroupName"] = group["DBParameterGroupName"]
    if authority := source.get("CACertificateIdentifier"):
        # Clients verify the server, so its authority must be one that they know.
        settings["CACertificateIdentifier"] = authority
    if superuser := source.get("MasterUserSecret"):
        # The restored instance gets a superuser's secret of its own; without this it would have none.
        settings |= {"ManageMasterUserPassword": True, "MasterUserSecretKmsKeyId": superuser["KmsKeyId"]}
    return settings


def _call(method: Callable[..., Any], **parameters: Any) -> Any:
    try:
        return method(**parameters)
    except (ClientError, BotoCoreError) as error:
        raise _translated(error) from None


def _translated(error: Exception) -> OpsError:
    if isinstance(error, ClientError):
        return OpsError(f"RDS answers {error.response['Error']['Code']}: {error.response['Error'].get('Message', '')}")
    return TemporaryError(f"no answer from RDS: {error}")


def moment(text: str) -> datetime | None:
    """Parse a time with its zone; ``latest`` gives None.

    Raises:
        OpsError: it is not a time, or has no zone.
    """
    if text == "latest":
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise OpsError(f"{text!r} is not a time: give one such as 2026-01-31T13:45:00Z, or latest") from None
    if at.tzinfo is None:
        raise OpsError(f"{text!r} has no time zone: end it with Z or an offset such as +01:00")
    return at.astimezone(UTC)
