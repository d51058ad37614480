"""Rotation of secrets in AWS Secrets Manager: what runs in Lambda, one file with nothing but boto3 beside it.

Secrets Manager calls :func:`handler` four times for each rotation (create, set, test, finish), and again from any
of these when one failed; so each step looks first at what is there, and doing it twice is doing it once. A new value
becomes AWSPENDING, then AWSCURRENT; what was current stays as AWSPREVIOUS. Kinds, by the secret's tag `churn:rotation`:

``api-key``: a client's key, of which the API knows the hash only. `set` adds the new hash beside the old one to the
file that the pods mount, `test` waits until every pod must have read it, and only then does `finish` give the client
the new key. The old one works on for OVERLAP_DAYS; then ``{"action": "retire"}``, called daily, takes its hash away.

``mlflow-user``, ``mlflow-admin``, ``grafana-admin``: a password, which `set` changes in the service itself over HTTPS.

No value of a secret is in a log line or an error.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

CURRENT: Final = "AWSCURRENT"
PENDING: Final = "AWSPENDING"
KIND: Final = "churn:rotation"
CLIENT: Final = "churn:client"
KEYS_FILE: Final = "keys.json"
MOST_HASHES: Final = 2
"""Of one client: `app/security.py` takes no more."""
CALL_SECONDS: Final = 10
UNAUTHORIZED: Final = (401, 403)


class RotationError(Exception):
    """The rotation cannot go on; Secrets Manager tries again later. The message names no value."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the function's environment says."""

    api_keys_secret: str
    mlflow_admin_secret: str
    mlflow_url: str
    grafana_url: str
    overlap: timedelta
    settle_seconds: float
    client_secrets: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Options:
        """From variables, all of which must be there."""
        return cls(
            api_keys_secret=environment["API_KEYS_SECRET"],
            mlflow_admin_secret=environment["MLFLOW_ADMIN_SECRET"],
            mlflow_url=environment["MLFLOW_URL"],
            grafana_url=environment["GRAFANA_URL"],
            overlap=timedelta(days=float(environment["OVERLAP_DAYS"])),
            settle_seconds=float(environment["SETTLE_SECONDS"]),
            client_secrets=json.loads(environment["API_CLIENT_SECRETS"]),
        )


Send = Callable[[urllib.request.Request], int]
"""Sends a request and gives the status of the answer."""


def send(request: urllib.request.Request) -> int:
    """Over HTTPS; an answer that says no is an answer.

    Raises:
        RotationError: there is no answer.
    """
    try:
        with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:  # noqa: S310 - addresses are the stack's
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        raise RotationError(f"{request.host} does not answer: {error}") from None


class Store:
    """Secrets Manager, as far as rotation needs it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def describe(self, arn: str) -> dict[str, Any]:
        """Tags and versions."""
        found: dict[str, Any] = self._client.describe_secret(SecretId=arn)
        return found

    def read(self, arn: str, *, stage: str = CURRENT, version: str = "") -> dict[str, str]:
        """The content of one version."""
        chosen = {"VersionId": version} if version else {}
        found = self._client.get_secret_value(SecretId=arn, VersionStage=stage, **chosen)
        content: dict[str, str] = json.loads(found["SecretString"])
        return content

    def age(self, arn: str) -> timedelta:
        """How long the current version has been there."""
        found = self._client.get_secret_value(SecretId=arn, VersionStage=CURRENT)
        made: datetime = found["CreatedDate"]
        return datetime.now(UTC) - made

    def has_value(self, arn: str, version: str) -> bool:
        """Whether a pending version has been written: Secrets Manager announces it before it has a value."""
        try:
            found = self._client.get_secret_value(SecretId=arn, VersionId=version, VersionStage=PENDING)
        except self._client.exceptions.ResourceNotFoundException:
            return False
        return "SecretString" in found

    def write(self, arn: str, content: Mapping[str, str], *, stage: str = CURRENT, version: str = "") -> None:
        """A new version; the id makes a second write of the same nothing."""
        token = {"ClientRequestToken": version} if version else {}
        self._client.put_secret_value(SecretId=arn, SecretString=json.dumps(content), VersionStages=[stage], **token)

    def promote(self, arn: str, version: str) -> None:
        """Make a version the current one, unless it is."""
        stages: Mapping[str, list[str]] = self.describe(arn)["VersionIdsToStages"]
        current = next((known for known, its in stages.items() if CURRENT in its), None)
        if current != version:
            self._client.update_secret_version_stage(
                SecretId=arn,
                VersionStage=CURRENT,
                MoveToVersionId=version,
                **({} if current is None else {"RemoveFromVersionId": current}),
            )


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """One rotation of one secret."""

    store: Store
    options: Options
    arn: str
    version: str
    kind: str
    client: str
    send: Send = send
    sleep: Callable[[float], None] = time.sleep

    def create(self) -> None:
        """Make the new value, once."""
        if self.store.has_value(self.arn, self.version):
            return
        content = self.store.read(self.arn)
        if self.kind == "api-key":
            content = {**content, "key": f"{self.client}.{secrets.token_urlsafe(32)}"}
        else:
            content = {**content, "password": secrets.token_urlsafe(32)}
        self.store.write(self.arn, content, stage=PENDING, version=self.version)

    def set(self) -> None:
        """Let the service take the new value."""
        pending = self.store.read(self.arn, stage=PENDING, version=self.version)
        if self.kind == "api-key":
            hashes = [digest(self.store.read(self.arn)["key"]), digest(pending["key"])]
            self._know(hashes)
        elif not self._lets_in(pending):
            self._change_password(pending)

    def test(self) -> None:
        """See that the new value is taken.

        Raises:
            RotationError: it is not.
        """
        pending = self.store.read(self.arn, stage=PENDING, version=self.version)
        if self.kind == "api-key":
            if digest(pending["key"]) not in self._entry(self._keys())["sha256"]:
                raise RotationError(
                    f"the key file does not know the new key of {self.client}: the step before it failed"
                )
            self._settle()
        elif not self._lets_in(pending):
            raise RotationError(f"the new password of {pending['username']} is not taken")

    def finish(self) -> None:
        """Give the new value to whoever reads the secret."""
        self.store.promote(self.arn, self.version)

    def retire(self) -> bool:
        """End the old key of a client whose overlap is over; says whether there was one to end.

        While a rotation is under way its new key is not to be taken for an old one.
        """
        stages = self.store.describe(self.arn)["VersionIdsToStages"].values()
        pending = any(PENDING in its and CURRENT not in its for its in stages)
        if pending or self.store.age(self.arn) < self.options.overlap:
            return False
        return self._know([digest(self.store.read(self.arn)["key"])])

    def _keys(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.store.read(self.options.api_keys_secret)[KEYS_FILE])
        return content

    def _entry(self, keys: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] | None = next((entry for entry in keys["keys"] if entry["id"] == self.client), None)
        if found is None:
            raise RotationError(f"the key file has no client {self.client}: add it to churn:secrets.api_clients")
        return found

    def _know(self, hashes: list[str]) -> bool:
        """Let the key file have exactly these hashes for the client; says whether that changed it."""
        content = self.store.read(self.options.api_keys_secret)
        keys = json.loads(content[KEYS_FILE])
        entry = self._entry(keys)
        wanted = list(dict.fromkeys(hashes))[-MOST_HASHES:]
        if entry["sha256"] == wanted:
            return False
        entry["sha256"] = wanted
        self.store.write(self.options.api_keys_secret, {**content, KEYS_FILE: json.dumps(keys)})
        return True

    def _settle(self) -> None:
        """Wait until every pod has read the key file as it is now."""
        left = self.options.settle_seconds - self.store.age(self.options.api_keys_secret).total_seconds()
        if left > 0:
            self.sleep(left)

    def _lets_in(self, login: Mapping[str, str]) -> bool:
        if self.kind == "grafana-admin":
            url = f"{self.options.grafana_url}/api/user"
        else:
            url = f"{self.options.mlflow_url}/api/2.0/mlflow/users/get?username={login['username']}"
        status = self.send(_request("GET", url, login))
        if status in UNAUTHORIZED:
            return False
        if status >= 400:  # noqa: PLR2004 - whatever is no success
            raise RotationError(f"{url} answers {status}")
        return True

    def _change_password(self, pending: Mapping[str, str]) -> None:
        old = self.store.read(self.arn)
        if self.kind == "grafana-admin":
            url, method = f"{self.options.grafana_url}/api/user/password", "PUT"
            body = {
                "oldPassword": old["password"],
                "newPassword": pending["password"],
                "confirmNew": pending["password"],
            }
            who: Mapping[str, str] = old
        else:
            url, method = f"{self.options.mlflow_url}/api/2.0/mlflow/users/update-password", "PATCH"
            body = {"username": pending["username"], "password": pending["password"]}
            who = old if self.kind == "mlflow-admin" else self.store.read(self.options.mlflow_admin_secret)
        status = self.send(_request(method, url, who, body))
        if status >= 400:  # noqa: PLR2004 - whatever is no success
            raise RotationError(f"{url} answers {status}: the password of {pending['username']} stays as it was")


def digest(key: str) -> str:
    """Of an API key, as the key file has it."""
    return hashlib.sha256(key.encode()).hexdigest()


def _request(
    method: str, url: str, login: Mapping[str, str], body: Mapping[str, str] | None = None
) -> urllib.request.Request:
    token = base64.b64encode(f"{login['username']}:{login['password']}".encode()).decode()
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    return urllib.request.Request(url, data=data, method=method, headers=headers)  # noqa: S310 - addresses are the stack's


STEPS: Final[dict[str, Callable[[Rotation], None]]] = {
    "createSecret": Rotation.create,
    "setSecret": Rotation.set,
    "testSecret": Rotation.test,
    "finishSecret": Rotation.finish,
}


def rotation(store: Store, options: Options, arn: str, version: str) -> Rotation:
    """The rotation of a secret by its tags.

    Raises:
        RotationError: it has no tag that says how.
    """
    tags = {tag["Key"]: tag["Value"] for tag in store.describe(arn).get("Tags", [])}
    if KIND not in tags:
        raise RotationError(f"{arn} has no tag {KIND}: it is not for this function to rotate")
    return Rotation(
        store=store, options=options, arn=arn, version=version, kind=tags[KIND], client=tags.get(CLIENT, "")
    )


def step(found: Rotation, name: str) -> None:
    """Take one step of a rotation, if Secrets Manager is in the middle of this one.

    Raises:
        RotationError: the version is not one that is being rotated in.
    """
    stages = found.store.describe(found.arn).get("VersionIdsToStages", {}).get(found.version)
    if stages is None:
        raise RotationError(f"{found.arn} has no version {found.version}")
    if CURRENT in stages:
        return
    if PENDING not in stages:
        raise RotationError(f"version {found.version} of {found.arn} is not pending")
    STEPS[name](found)


def handler(event: Mapping[str, str], _context: object) -> dict[str, list[str]]:
    """Entry point of the function: a step of a rotation, or the daily end of old keys."""
    import boto3  # noqa: PLC0415 - the runtime's; tests bring a client of their own

    store, options = Store(boto3.client("secretsmanager")), Options.read(os.environ)
    if event.get("action") == "retire":
        return {"retired": retire(store, options)}
    step(rotation(store, options, event["SecretId"], event["ClientRequestToken"]), event["Step"])
    return {}


def retire(store: Store, options: Options) -> list[str]:
    """End old keys whose overlap is over; gives the clients whose it were."""
    found = {client: rotation(store, options, arn, "") for client, arn in sorted(options.client_secrets.items())}
    return [client for client, each in found.items() if each.retire()]
