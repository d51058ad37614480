"""Entry point of the function."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from .channels import Channels, Receivers
from .notices import notices


def handle(event: Mapping[str, Any], _context: object) -> dict[str, int]:
    """Send what an event reports to every channel of its severity.

    Raises:
        ChannelError: a channel refused; Lambda tries the whole event again, twice.
    """
    import boto3  # noqa: PLC0415 - part of Lambda's runtime, and slow to import

    settings = json.loads(os.environ["RECEIVERS"])
    client = boto3.client("secretsmanager")
    secret = json.loads(client.get_secret_value(SecretId=os.environ["RECEIVERS_SECRET"])["SecretString"])
    channels = Channels(receivers=Receivers(**settings), secret=secret)
    sent = [channels.send(notice) for notice in notices(event, os.environ["STACK"])]
    return {"sent": sum(sent)}
