"""Entry point of the function."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .options import Options
from .reconcile import Reconciliation, Request
from .secrets_manager import SecretsManager
from .steps import retire_old_keys, rotation_of, take_step


def handle(event: Mapping[str, Any], _context: object) -> dict[str, list[str]]:
    """Take one step of a rotation, make first values for a deployment, or end old keys once a day."""
    import boto3  # noqa: PLC0415 - part of Lambda's runtime, and slow to import

    manager, options = SecretsManager(boto3.client("secretsmanager")), Options.read(os.environ)
    if event.get("action") == "reconcile":
        return Reconciliation(manager=manager, request=Request.read(event)).run()
    if event.get("action") == "retire":
        return {"retired": retire_old_keys(manager, options)}
    rotation = rotation_of(manager, options, event["SecretId"], event["ClientRequestToken"])
    take_step(rotation, event["Step"])
    return {}
