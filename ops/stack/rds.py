"""The database of AWS as of any second of the last days: RDS restores into a new instance, which then takes the name.

The name is what the platform's address is made of, so after the switch every client finds the restored database without
a change of configuration. The replaced instance stays, stopped being used, until it is cleaned up.
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
    """One instance by its name, and the client to reach it with."""

    name: str
    client: Any
    say: Say
    poll_seconds: float = POLL_SECONDS

    @classmethod
    def connect(cls, name: str, say: Say) -> Rds:
        """With the credentials and region of the environment."""
        return cls(name=name, client=boto3.client("rds"), say=say)

    def restore(self, at: datetime | None) -> str:
        """Restore into ``<name>-restored``, as of a time or of the last moment there is; returns the new name.

        Raises:
            OpsError: there is no such instance, the time is out of its reach, or a restored one is there already.
        """
        source, target = self._required(self.name), f"{self.name}{RESTORED}"
        if self._found(target) is not None:
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
        self.say(f"{target} is being made, as of {at or latest:%Y-%m-%d %H:%M:%S} UTC")
        self._wait(target)
        return target

    def switch(self) -> None:
        """Give the restored instance the name, and the present one ``<name>-replaced``.

        Raises:
            OpsError: nothing was restored, or an earlier replaced one is still there; the names are then as before.
        """
        restored, replaced = f"{self.name}{RESTORED}", f"{self.name}{REPLACED}"
        self._required(restored)
        if self._found(replaced) is not None:
            raise OpsError(f"{replaced} of an earlier switch is still there: clean it up first")
        if self._found(self.name) is not None:
            self._rename(self.name, replaced)
        try:
            self._rename(restored, self.name)
        except OpsError:
            if self._found(replaced) is not None:
                self._rename(replaced, self.name)
            raise

    def clean_up(self, now: datetime) -> str:
        """Delete the replaced instance after a last snapshot of it; returns the snapshot's name.

        Raises:
            OpsError: there is none, or nothing that has taken its place.
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
        self.say(f"{replaced} is being deleted; its last state stays as the snapshot {snapshot}")
        return snapshot

    def _rename(self, old: str, new: str) -> None:
        _call(
            self.client.modify_db_instance, DBInstanceIdentifier=old, NewDBInstanceIdentifier=new, ApplyImmediately=True
        )
        self._wait(new)
        self.say(f"{old} is now {new}")

    def _found(self, name: str) -> dict[str, Any] | None:
        try:
            answer = self.client.describe_db_instances(DBInstanceIdentifier=name)
        except ClientError as error:
            if error.response["Error"]["Code"] in {"DBInstanceNotFound", "DBInstanceNotFoundFault"}:
                return None
            raise _translated(error) from None
        except BotoCoreError as error:
            raise _translated(error) from None
        found: dict[str, Any] = answer["DBInstances"][0]
        return found

    def _required(self, name: str) -> dict[str, Any]:
        found = self._found(name)
        if found is None:
            raise OpsError(f"there is no database instance {name!r} in this account and region")
        return found

    def _wait(self, name: str) -> None:
        """Until it is available; a renamed one is not to be found for a while."""
        deadline = time.monotonic() + WAIT_SECONDS
        while (found := self._found(name)) is None or found["DBInstanceStatus"] != "available":
            if time.monotonic() > deadline:
                raise TemporaryError(f"{name} is not available after {WAIT_SECONDS // 3600} hours: look at its events")
            time.sleep(self.poll_seconds)


def _like(source: dict[str, Any]) -> dict[str, Any]:
    """What RDS would not take over from the source by itself, and would give a default."""
    given: dict[str, Any] = {
        "DBInstanceClass": source["DBInstanceClass"],
        "MultiAZ": source["MultiAZ"],
        "DeletionProtection": source["DeletionProtection"],
        "PubliclyAccessible": source.get("PubliclyAccessible", False),
        "EnableIAMDatabaseAuthentication": source.get("IAMDatabaseAuthenticationEnabled", False),
        "CopyTagsToSnapshot": source.get("CopyTagsToSnapshot", False),
        "VpcSecurityGroupIds": [group["VpcSecurityGroupId"] for group in source.get("VpcSecurityGroups", ())],
    }
    if subnets := source.get("DBSubnetGroup"):
        given["DBSubnetGroupName"] = subnets["DBSubnetGroupName"]
    for group in source.get("DBParameterGroups", ())[:1]:
        given["DBParameterGroupName"] = group["DBParameterGroupName"]
    return given


def _call(method: Callable[..., Any], **given: Any) -> Any:
    try:
        return method(**given)
    except (ClientError, BotoCoreError) as error:
        raise _translated(error) from None


def _translated(error: Exception) -> OpsError:
    if isinstance(error, ClientError):
        return OpsError(f"RDS answers {error.response['Error']['Code']}: {error.response['Error'].get('Message', '')}")
    return TemporaryError(f"no answer from RDS: {error}")


def moment(text: str) -> datetime | None:
    """A time with its zone, or None for ``latest``.

    Raises:
        OpsError: it is no time, or has no zone.
    """
    if text == "latest":
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise OpsError(f"{text!r} is no time: 2026-01-31T13:45:00Z, or latest") from None
    if found.tzinfo is None:
        raise OpsError(f"{text!r} has no time zone: end it with Z or an offset such as +01:00")
    return found.astimezone(UTC)
