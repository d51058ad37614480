"""The four steps of a rotation, for each kind of secret, and the end of a client's old key."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from . import logins
from .options import Options, RotationError
from .secrets_manager import CURRENT, PENDING, PREVIOUS, SecretsManager

KIND: Final = "churn:rotation"
CLIENT: Final = "churn:client"
API_KEY: Final = "api-key"
MLFLOW_ADMIN: Final = "mlflow-admin"
GRAFANA_ADMIN: Final = "grafana-admin"
KEYS_FILE: Final = "keys.json"
MAX_HASHES: Final = 2
"""Hashes of one client in the key file: `app/security.py` accepts no more."""


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """One rotation of one secret."""

    manager: SecretsManager
    options: Options
    arn: str
    version: str
    kind: str
    client: str
    send: logins.Send = logins.send
    sleep: Callable[[float], None] = time.sleep

    def create(self) -> None:
        """Write the new value, unless it is there already."""
        if self.manager.has_value(self.arn, self.version):
            return
        content = self.manager.read(self.arn)
        if self.kind == API_KEY:
            content = {**content, "key": f"{self.client}.{secrets.token_urlsafe(32)}"}
        else:
            content = {**content, "password": secrets.token_urlsafe(32)}
        self.manager.write(self.arn, content, stage=PENDING, version=self.version)

    def set(self) -> None:
        """Make the service accept the new value."""
        pending = self._pending()
        if self.kind == API_KEY:
            self._set_hashes(lambda: [digest(self.manager.read(self.arn)["key"]), digest(pending["key"])])
        elif not self._api().accepts(pending):
            self._change_password(pending)

    def test(self) -> None:
        """Check that the service accepts the new value.

        Where there is nothing new, there is nothing to check: when a schedule is set, Secrets Manager calls this step
        alone, with the present value as the pending one or with none, and then neither DNS nor the services may exist
        yet (API reference, RotateSecret, `RotateImmediately`; getmoto/moto PR 8547).

        Raises:
            RotationError: it does not.
        """
        if not self.manager.has_value(self.arn, self.version):
            return
        pending = self._pending()
        if pending == self.manager.value(self.arn):
            return
        if self.kind == API_KEY:
            self._check_key(pending)
            self._wait_for_pods()
            # Another call may have written the file meanwhile, from what it had read before.
            self._check_key(pending)
        elif not self._api().accepts(pending):
            raise RotationError(f"the new password of {pending['username']} is not accepted")

    def finish(self) -> None:
        """Give the new value to everyone who reads the secret.

        Raises:
            RotationError: there is none.
        """
        if not self.manager.has_value(self.arn, self.version):
            raise RotationError(f"version {self.version} of {self.arn} has no value: the first step failed")
        self.manager.promote(self.arn, self.version)

    def retire(self) -> bool:
        """End a client's old key if its overlap is over; returns whether there was one to end.

        During a rotation the pending key's hash is in the file too, and must not be mistaken for an old one.
        """
        return self._set_hashes(self._hashes_after_overlap)

    def _hashes_after_overlap(self) -> list[str] | None:
        all_stages = self.manager.describe(self.arn)["VersionIdsToStages"].values()
        pending = any(PENDING in stages and CURRENT not in stages for stages in all_stages)
        if pending or self.manager.age(self.arn) < self.options.overlap:
            return None
        return [digest(self.manager.read(self.arn)["key"])]

    def _check_key(self, pending: Mapping[str, str]) -> None:
        keys = json.loads(self.manager.read(self.options.api_keys_secret)[KEYS_FILE])
        if digest(pending["key"]) not in self._entry(keys)["sha256"]:
            raise RotationError(
                f"the key file does not contain the new key of {self.client}: the step before it failed, or another "
                "call has overwritten its change"
            )

    def _pending(self) -> dict[str, str]:
        return self.manager.read(self.arn, stage=PENDING, version=self.version)

    def _entry(self, keys: Mapping[str, Any]) -> dict[str, Any]:
        entry: dict[str, Any] | None = next((entry for entry in keys["keys"] if entry["id"] == self.client), None)
        if entry is None:
            raise RotationError(f"the key file has no client {self.client}: add it to churn:secrets.api_clients")
        return entry

    def _set_hashes(self, decide: Callable[[], list[str] | None]) -> bool:
        """Give the client exactly the decided hashes in the key file; returns whether that changed the file.

        ``decide`` returns None to leave the file. It runs after the file is read, so that whatever another call writes
        from then on is noticed.
        """

        def change(content: dict[str, str]) -> dict[str, str] | None:
            hashes, keys = decide(), json.loads(content[KEYS_FILE])
            newest = list(dict.fromkeys(hashes or ()))[-MAX_HASHES:]
            entry = self._entry(keys)
            if hashes is None or entry["sha256"] == newest:
                return None
            entry["sha256"] = newest
            return {**content, KEYS_FILE: json.dumps(keys)}

        # The hashes of all clients are in one file, and another client's key may rotate at the same time.
        return self.manager.update(self.options.api_keys_secret, change)

    def _wait_for_pods(self) -> None:
        """Wait until every pod must have read the present key file."""
        remaining = self.options.settle_seconds - self.manager.age(self.options.api_keys_secret).total_seconds()
        if remaining > 0:
            self.sleep(remaining)

    def _api(self) -> logins.LoginApi:
        if self.kind == GRAFANA_ADMIN:
            return logins.grafana(self.options.grafana_url, self.send)
        return logins.mlflow(self.options.mlflow_url, self.send)

    def _change_password(self, pending: Mapping[str, str]) -> None:
        own_login = self.kind in {GRAFANA_ADMIN, MLFLOW_ADMIN}
        login = self._login(self.arn if own_login else self.options.mlflow_admin_secret)
        new = pending["password"]
        if self.kind == GRAFANA_ADMIN:
            body = {"oldPassword": login["password"], "newPassword": new, "confirmNew": new}
        else:
            body = {"username": pending["username"], "password": new}
        self._api().change(pending["username"], body, login=login)

    def _login(self, arn: str) -> dict[str, str]:
        """Return the login in a secret with the password that the service knows.

        A database that was restored to a time before the last rotation has the previous one.
        """
        current = self.manager.read(arn)
        previous = self.manager.value(arn, stage=PREVIOUS)
        if previous is None or self._api().accepts(current) or not self._api().accepts(previous):
            return current
        return dict(previous)


def digest(key: str) -> str:
    """Return an API key's hash, as the key file has it."""
    return hashlib.sha256(key.encode()).hexdigest()


STEPS: Final[dict[str, Callable[[Rotation], None]]] = {
    "createSecret": Rotation.create,
    "setSecret": Rotation.set,
    "testSecret": Rotation.test,
    "finishSecret": Rotation.finish,
}


def rotation_of(manager: SecretsManager, options: Options, arn: str, version: str) -> Rotation:
    """Return the rotation that a secret's tags ask for.

    Raises:
        RotationError: no tag says how to rotate it.
    """
    tags = {tag["Key"]: tag["Value"] for tag in manager.describe(arn).get("Tags", [])}
    if KIND not in tags:
        raise RotationError(f"{arn} has no tag {KIND}: this function does not rotate it")
    client = tags.get(CLIENT, "")
    return Rotation(manager=manager, options=options, arn=arn, version=version, kind=tags[KIND], client=client)


def take_step(rotation: Rotation, name: str) -> None:
    """Take one step of a rotation; does nothing once the version is the current one.

    Raises:
        RotationError: Secrets Manager is not rotating this version in.
    """
    stages = rotation.manager.describe(rotation.arn).get("VersionIdsToStages", {}).get(rotation.version)
    if stages is None:
        raise RotationError(f"{rotation.arn} has no version {rotation.version}")
    if CURRENT in stages:
        return
    if PENDING not in stages:
        raise RotationError(f"version {rotation.version} of {rotation.arn} is not pending")
    STEPS[name](rotation)


def retire_old_keys(manager: SecretsManager, options: Options) -> list[str]:
    """End the old keys whose overlap is over; returns the clients whose keys were ended."""
    rotations = {
        client: rotation_of(manager, options, arn, "") for client, arn in sorted(options.client_secrets.items())
    }
    return [client for client, rotation in rotations.items() if rotation.retire()]
