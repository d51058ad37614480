"""What a deployment asks of the function: that each secret has a first value, and exactly the listed clients a key.

The values are made here and not by the program, which would have to keep them as versions in its state. Secrets Manager
forgets the versions that two later writes have replaced; a refresh then takes the first one for lost, and the next
`pulumi up` writes it again, as the current one (hashicorp/terraform-provider-aws issue 37302).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from .contents import filled, problems
from .options import RotationError
from .secrets_manager import SecretsManager
from .steps import KEYS_FILE, MAX_HASHES, digest

RIGHTS_SECONDS: Final = 120.0
"""How long to wait for rights: those of a role that was just made take a while to reach every part of AWS."""
RETRY_SECONDS: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class Request:
    """The secrets with the templates of their files, and the clients with the secrets of their keys (all by ARN)."""

    secrets: Mapping[str, Mapping[str, str]]
    keys_secret: str
    clients: Mapping[str, str]
    scopes: Sequence[str]

    @classmethod
    def read(cls, event: Mapping[str, Any]) -> Request:
        """Read the event that `infra/aws/first_values.py` sends."""
        return cls(
            secrets=event["secrets"],
            keys_secret=event["keys_secret"],
            clients=event["clients"],
            scopes=event["scopes"],
        )


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """One such request; ``sleep`` takes seconds."""

    manager: SecretsManager
    request: Request
    sleep: Callable[[float], None] = time.sleep
    written: list[str] = field(default_factory=list)

    def run(self) -> dict[str, list[str]]:
        """Fill the secrets and correct the key file; returns the ARNs of the secrets that were written.

        Raises:
            RotationError: the value of a secret is one that no pod could mount; all others are right nevertheless.
        """
        self._wait_for_rights()
        lines = [line for arn, files in self.request.secrets.items() for line in self._fill(arn, files)]
        wrong_keys = [
            line
            for client, arn in self.request.clients.items()
            for line in self._fill(arn, {"key": f"{client}.{{{{key}}}}"})
        ]
        if not wrong_keys:
            self._correct_keys()
        if lines or wrong_keys:
            raise RotationError("; ".join([*lines, *wrong_keys]))
        return {"written": self.written}

    def _wait_for_rights(self) -> None:
        remaining = RIGHTS_SECONDS
        while not self.manager.allowed(self.request.keys_secret) and remaining > 0:
            self.sleep(RETRY_SECONDS)
            remaining -= RETRY_SECONDS

    def _fill(self, arn: str, files: Mapping[str, str]) -> list[str]:
        """Fill one secret; returns what is wrong with the value that it has."""
        current = self.manager.value(arn)
        if current is None:
            current = {}
        elif isinstance(current, dict):
            wrong = problems(current, frozenset(files.keys() & current.keys()))
            if wrong:
                return [f"{arn}: {line}" for line in wrong]
        else:
            return [f"{arn}: {line}" for line in problems(current, files)]
        content = filled(files, current)
        if content != current:
            self._write(arn, content)
        return []

    def _correct_keys(self) -> None:
        """Give each client its place in the key file, with the hash of its present key, and nobody else one.

        The hashes that a client has stay: an old key is valid until its overlap is over. A rotation may change the file
        at the same time, so a change that was worked out from old content is not written.
        """
        arn = self.request.keys_secret
        if self.manager.value(arn) is None:
            self._write(arn, {KEYS_FILE: json.dumps({"keys": self._entries([])})})
        elif self.manager.update(arn, self._with_listed_clients):
            self.written.append(arn)

    def _with_listed_clients(self, content: dict[str, str]) -> dict[str, str] | None:
        known = json.loads(content.get(KEYS_FILE, '{"keys": []}'))["keys"]
        entries = self._entries(known)
        return None if entries == known else {**content, KEYS_FILE: json.dumps({"keys": entries})}

    def _entries(self, known: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        hashes = {entry["id"]: entry["sha256"] for entry in known}
        scopes = {entry["id"]: entry["scopes"] for entry in known}
        entries = []
        for client, arn in self.request.clients.items():
            own, present = hashes.get(client, []), digest(self.manager.read(arn)["key"])
            newest = own if present in own else [*own, present][-MAX_HASHES:]
            entries.append({"id": client, "sha256": newest, "scopes": scopes.get(client, list(self.request.scopes))})
        return entries

    def _write(self, arn: str, content: Mapping[str, str]) -> None:
        self.manager.write(arn, content)
        self.written.append(arn)
