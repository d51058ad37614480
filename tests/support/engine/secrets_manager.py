"""A stand-in for AWS Secrets Manager as boto3's client shows it, which forgets versions as soon as AWS may.

A version without a stage is deprecated, and AWS deletes deprecated versions without further notice (Secrets Manager
user guide, "What's in a secret"; hashicorp/terraform-provider-aws issue 37302). AWS takes its time; here they are gone
at once, which is the worst case for whoever still counts on one. A version is never changed: a second write under its
token is ignored if the value is the same, and refused otherwise (API reference, `PutSecretValue`).
"""

from __future__ import annotations

import datetime as dt
import uuid
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"


class ResourceNotFoundException(ClientError):  # type: ignore[misc]  # noqa: N818 - boto3's own name, and untyped
    """There is no such secret or version, or it has no value."""

    def __init__(self, what: str) -> None:
        super().__init__({"Error": {"Code": "ResourceNotFoundException", "Message": what}}, "GetSecretValue")


class ResourceExistsException(ClientError):  # type: ignore[misc]  # noqa: N818 - as above
    """There is such a version already, with another value."""

    def __init__(self, what: str) -> None:
        super().__init__({"Error": {"Code": "ResourceExistsException", "Message": what}}, "PutSecretValue")


class SecretsManager:
    """Secrets by ARN, each with its versions by id."""

    exceptions = SimpleNamespace(
        ResourceNotFoundException=ResourceNotFoundException,
        ResourceExistsException=ResourceExistsException,
        ClientError=ClientError,
    )

    def __init__(self) -> None:
        self._secrets: dict[str, dict[str, dict[str, Any]]] = {}

    def create(self, arn: str) -> None:
        """Create a secret without a value."""
        self._secrets[arn] = {}

    def arns(self) -> list[str]:
        """The ARNs of all secrets."""
        return sorted(self._secrets)

    def forget(self, arn: str) -> None:
        """Delete a secret."""
        self._secrets.pop(arn, None)

    def put_secret_value(self, **request: Any) -> dict[str, Any]:
        arn, identity = request["SecretId"], request.get("ClientRequestToken") or str(uuid.uuid4())
        versions = self._versions(arn)
        if identity in versions:
            if versions[identity]["value"] != request["SecretString"]:
                raise ResourceExistsException(f"{arn} has another value in its version {identity}")
            return {"VersionId": identity}
        versions[identity] = {"value": request["SecretString"], "stages": set(), "created": dt.datetime.now(dt.UTC)}
        for stage in request.get("VersionStages") or [CURRENT]:
            self._move(arn, stage, identity)
        self._delete_deprecated(arn)
        return {"VersionId": identity}

    def get_secret_value(self, **request: str) -> dict[str, Any]:
        wanted_id = request.get("VersionId", "")
        stage = request.get("VersionStage") or ("" if wanted_id else CURRENT)
        for identity, version in self._versions(request["SecretId"]).items():
            if wanted_id in {"", identity} and (not stage or stage in version["stages"]):
                return {"SecretString": version["value"], "VersionId": identity, "CreatedDate": version["created"]}
        raise ResourceNotFoundException(f"{request['SecretId']} has no such version")

    def _versions(self, arn: str) -> dict[str, dict[str, Any]]:
        if arn not in self._secrets:
            raise ResourceNotFoundException(arn)
        return self._secrets[arn]

    def _move(self, arn: str, stage: str, identity: str) -> None:
        """Move a stage to a version; what was current becomes the previous one."""
        versions = self._versions(arn)
        holder = next((name for name, version in versions.items() if stage in version["stages"]), None)
        if holder is not None and holder != identity:
            versions[holder]["stages"].discard(stage)
            if stage == CURRENT:
                self._move(arn, PREVIOUS, holder)
        versions[identity]["stages"].add(stage)

    def _delete_deprecated(self, arn: str) -> None:
        versions = self._versions(arn)
        for deprecated in [name for name, version in versions.items() if not version["stages"]]:
            del versions[deprecated]
