"""AWS Secrets Manager, as far as rotation needs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from .options import RotationError

CURRENT: Final = "AWSCURRENT"
PENDING: Final = "AWSPENDING"
PREVIOUS: Final = "AWSPREVIOUS"
PROPOSED: Final = "PROPOSED"
"""Stage of a version that is about to become the current one, if that has not changed meanwhile."""
MOST_TRIES: Final = 20
"""More than the calls that run at once: one for each rotating secret, at most."""


class SecretsManager:
    """Reads and writes versions of secrets; ``client`` is boto3's."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def describe(self, arn: str) -> dict[str, Any]:
        """Return the tags of a secret and the stages of its versions."""
        description: dict[str, Any] = self._client.describe_secret(SecretId=arn)
        return description

    def read(self, arn: str, *, stage: str = CURRENT, version: str = "") -> dict[str, str]:
        """Return the content of one version."""
        by_id = {"VersionId": version} if version else {}
        answer = self._client.get_secret_value(SecretId=arn, VersionStage=stage, **by_id)
        content: dict[str, str] = json.loads(answer["SecretString"])
        return content

    def value(self, arn: str, *, stage: str = CURRENT) -> Any:
        """Return the content with this stage, whatever JSON it is; None if there is none.

        A content that is no JSON is returned as the text that it is.
        """
        try:
            text = self._client.get_secret_value(SecretId=arn, VersionStage=stage)["SecretString"]
        except self._client.exceptions.ResourceNotFoundException:
            return None
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text

    def allowed(self, arn: str) -> bool:
        """Whether this function may read a secret."""
        try:
            self.value(arn)
        except self._client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] == "AccessDeniedException":
                return False
            raise
        return True

    def age(self, arn: str) -> timedelta:
        """Return how long ago the current version was written."""
        created: datetime = self._client.get_secret_value(SecretId=arn, VersionStage=CURRENT)["CreatedDate"]
        return datetime.now(UTC) - created

    def has_value(self, arn: str, version: str) -> bool:
        """Whether a pending version has a value yet: Secrets Manager announces the version before anybody writes it."""
        try:
            answer = self._client.get_secret_value(SecretId=arn, VersionId=version, VersionStage=PENDING)
        except self._client.exceptions.ResourceNotFoundException:
            return False
        return "SecretString" in answer

    def write(self, arn: str, content: Mapping[str, str], *, stage: str = CURRENT, version: str = "") -> None:
        """Write a new version. With a version id, writing the same content again has no effect."""
        token = {"ClientRequestToken": version} if version else {}
        self._client.put_secret_value(SecretId=arn, SecretString=json.dumps(content), VersionStages=[stage], **token)

    def update(self, arn: str, change: Callable[[dict[str, str]], Mapping[str, str] | None]) -> bool:
        """Change the current content, even while other calls change it too; returns whether it changed.

        ``change`` gets the content and returns the new one, or None to leave it. Secrets Manager moves a stage only
        from the version that the caller names, so a version that was written from old content never becomes current
        (`UpdateSecretVersionStage`: if ``RemoveFromVersionId`` does not match, the operation fails). ``change`` then
        runs again, with what the other call wrote.

        Raises:
            RotationError: the content changed after each of many tries.
        """
        for _ in range(MOST_TRIES):
            answer = self._client.get_secret_value(SecretId=arn, VersionStage=CURRENT)
            content = change(json.loads(answer["SecretString"]))
            if content is None:
                return False
            proposal = self._client.put_secret_value(
                SecretId=arn, SecretString=json.dumps(content), VersionStages=[PROPOSED]
            )
            if self._replace(arn, answer["VersionId"], proposal["VersionId"]):
                return True
        raise RotationError(f"{arn} changed during each of {MOST_TRIES} tries to change it: try again")

    def _replace(self, arn: str, old: str, new: str) -> bool:
        """Make a version the current one if ``old`` still is; returns whether it was."""
        try:
            self._client.update_secret_version_stage(
                SecretId=arn, VersionStage=CURRENT, MoveToVersionId=new, RemoveFromVersionId=old
            )
        except self._client.exceptions.InvalidParameterException:
            return False
        return True

    def promote(self, arn: str, version: str) -> None:
        """Make a version the current one, unless it already is."""
        stages_by_version: Mapping[str, list[str]] = self.describe(arn)["VersionIdsToStages"]
        current = next((known for known, stages in stages_by_version.items() if CURRENT in stages), None)
        if current != version:
            self._client.update_secret_version_stage(
                SecretId=arn,
                VersionStage=CURRENT,
                MoveToVersionId=version,
                **({} if current is None else {"RemoveFromVersionId": current}),
            )
