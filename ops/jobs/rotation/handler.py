"""Entry point of the function."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .options import Options
from .secrets_manager import SecretsManager
from .steps import retire_old_keys, rotation_of, take_step


def handle(event: Mapping[str, str], _context: object) -> dict[str, list[str]]:
    """Take one step of a rotation, or end old keys where the daily event asks for that."""
    import boto3  # noqa: PLC0415 - part of Lambda's runtime, and slow to import

    manager, options = SecretsManager(boto3.client("secretsmanager")), Options.read(os.environ)
    if event.get("action") == "retire":
        return {"retired": retire_old_keys(manager, options)}
    rotation = rotation_of(manager, options, event["SecretId"], event["ClientRequestToken"])
    take_step(rotation, event["Step"])
    return {}
