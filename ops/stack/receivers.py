"""Puts the secrets of the alert receivers of a stack on AWS where Alertmanager's pods find them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from infra.config_alerts import RECEIVER_SECRETS
from infra.naming import PROJECT
from infra.secret_files import ALERT_RECEIVERS
from ops.errors import OpsError
from ops.stack.checkout import stack_config
from ops.stack.stack_secrets import look_up, plain_errors

FILES: Final = frozenset(ALERT_RECEIVERS.files)


def read(path: Path) -> Any:
    """Read the file with the receivers' secrets.

    Raises:
        OpsError: it cannot be read, or is no JSON; the message contains nothing of it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OpsError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise OpsError(f"{path} is not JSON: write an object with the keys {', '.join(sorted(FILES))}") from None


def unset(stack: str, content: Mapping[str, Any], root: Path) -> list[str]:
    """Return a line for each channel that is on in the stack and has no secret here, and for each unknown key."""
    channels = stack_config(stack, root)[f"{PROJECT}:alertmanager"]
    lines = [
        f"{key} is empty, but {PROJECT}:alertmanager.{channel} is on in {stack}"
        for channel, key in RECEIVER_SECRETS.items()
        if channels[channel] and content.get(key) == ""
    ]
    return lines + [f"{key} is no key that anybody reads" for key in sorted(set(content) - FILES)]


def put(client: Any, stack: str, content: Mapping[str, str]) -> str:
    """Write the current version of the stack's secret; returns the secret's name. ``client`` is boto3's.

    Raises:
        OpsError: the stack has no such secret, or Secrets Manager refuses.
    """
    name = look_up(client, stack).only(ALERT_RECEIVERS.name)
    with plain_errors():
        client.put_secret_value(SecretId=name, SecretString=json.dumps(dict(content)))
    return name
