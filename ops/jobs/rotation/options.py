"""Settings of the function, and the error that all of its parts raise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta


class RotationError(Exception):
    """The rotation cannot continue; Secrets Manager tries again later. The message contains no secret value."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Settings from the function's environment."""

    api_keys_secret: str
    mlflow_admin_secret: str
    mlflow_url: str
    grafana_url: str
    overlap: timedelta
    settle_seconds: float
    client_secrets: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Options:
        """Read the environment variables, all of which are required."""
        return cls(
            api_keys_secret=environment["API_KEYS_SECRET"],
            mlflow_admin_secret=environment["MLFLOW_ADMIN_SECRET"],
            mlflow_url=environment["MLFLOW_URL"],
            grafana_url=environment["GRAFANA_URL"],
            overlap=timedelta(days=float(environment["OVERLAP_DAYS"])),
            settle_seconds=float(environment["SETTLE_SECONDS"]),
            client_secrets=json.loads(environment["API_CLIENT_SECRETS"]),
        )
