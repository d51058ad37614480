"""The only reader of the Pulumi configuration and of the stack's name: settings, or one error about all wrong keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import pulumi
from pulumi.runtime import config as runtime_config
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from infra.config import ConfigError, Settings
from infra.config_alerts import RECEIVER_SECRETS, ReceiverSecrets
from infra.naming import PROJECT

RECEIVERS: Final = "receivers"
REGISTRY_LOGINS: Final = "registry_logins"
SECRET_KEYS: Final = (RECEIVERS, REGISTRY_LOGINS)
"""The keys with secret values; they have a default in Pulumi.yaml and are read as secrets."""


def _line(error: ErrorDetails) -> str:
    section, *path = [str(part) for part in error["loc"]] or ["configuration"]
    key = ".".join([f"{PROJECT}:{section}", *path]) if error["loc"] else PROJECT
    kind = error["type"]
    if kind == "missing":
        return f"{key} is missing: add it to Pulumi.<stack>.yaml (the other stacks' files show a value)"
    if kind == "extra_forbidden":
        return f"{key} is not a known key: check its spelling against Pulumi.yaml"
    message = error["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(error["input"], dict) else f" is {error['input']!r}"
    return f"{key}{shown}: {message}" if shown else f"{key}: {message}"


def parse(stack: str, values: dict[str, Any]) -> Settings:
    """Build settings from plain values, one for each section.

    Raises:
        ConfigError: with one line for each key that is missing, unknown or impossible.
    """
    try:
        return Settings.model_validate({"stack": stack, **values})
    except ValidationError as error:
        lines = [_line(item) for item in error.errors(include_url=False)]
        raise ConfigError("\n".join([f"Pulumi.{stack}.yaml cannot work:", *(f"  {line}" for line in lines)])) from None


def load() -> Settings:
    """Load the settings of the selected stack.

    Raises:
        ConfigError: see :func:`parse` and :func:`check_receivers`.
    """
    config = {**runtime_config.get_config_env(), **runtime_config.CONFIG.get()}
    prefix = f"{PROJECT}:"
    names = sorted(key.removeprefix(prefix) for key in config if key.startswith(prefix))
    values = {name: _value(config[prefix + name]) for name in names if name not in SECRET_KEYS}
    settings = parse(pulumi.get_stack(), values)
    if settings.cluster.kind == "local":
        check_receivers(settings, _value(config.get(prefix + RECEIVERS, "{}")))
    check_logins(settings, _value(config.get(prefix + REGISTRY_LOGINS, "{}")))
    return settings


def check_logins(settings: Settings, logins: object) -> None:
    """Check that there is a login to pull images with, where the stack wants one.

    Raises:
        ConfigError: there is none, or one is empty or no text; the message contains no value.
    """
    if not settings.images.pull_secret:
        return
    if isinstance(logins, dict) and logins and all(isinstance(login, str) and login for login in logins.values()):
        return
    raise ConfigError(
        f"Pulumi.{settings.stack}.yaml cannot work:\n  {PROJECT}:images.pull_secret is true but "
        f"{PROJECT}:{REGISTRY_LOGINS} has no login: run `pulumi config set --secret --path "
        f"'{PROJECT}:{REGISTRY_LOGINS}[\"registry.example.com\"]' user:password`"
    )


def registry_logins() -> pulumi.Output[Mapping[str, str]]:
    """Return the logins by registry, marked secret."""
    logins = pulumi.Config(PROJECT).get_secret_object(REGISTRY_LOGINS)
    return pulumi.Output.secret({}) if logins is None else logins


def check_receivers(settings: Settings, secrets: object) -> None:
    """Check that each channel that is on has its secret, where the stack itself holds the secrets.

    Raises:
        ConfigError: with one line for each that is missing or unknown; it contains no value.
    """
    try:
        known = ReceiverSecrets.model_validate(secrets)
    except ValidationError as error:
        keys = [".".join([f"{PROJECT}:{RECEIVERS}", *map(str, item["loc"])]) for item in error.errors()]
        lines = [
            f"  {key} is not right: its keys are {', '.join(RECEIVER_SECRETS.values())}, each a text" for key in keys
        ]
    else:
        lines = [
            f"  {PROJECT}:alertmanager.{channel} is on but {PROJECT}:{RECEIVERS}.{key} is not set: "
            f"run `pulumi config set --secret --path {PROJECT}:{RECEIVERS}.{key}`"
            for channel, key in RECEIVER_SECRETS.items()
            if getattr(settings.alertmanager, channel) and not getattr(known, key)
        ]
    if lines:
        raise ConfigError("\n".join([f"Pulumi.{settings.stack}.yaml cannot work:", *lines]))


def _value(text: object) -> object:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except json.JSONDecodeError:
        return text


def receiver_secrets() -> pulumi.Output[ReceiverSecrets]:
    """Return the secrets of this stack's alert receivers, marked secret; empty where none are set."""
    secrets = pulumi.Config(PROJECT).get_secret_object(RECEIVERS)
    if secrets is None:
        return pulumi.Output.secret(ReceiverSecrets())
    return secrets.apply(ReceiverSecrets.model_validate)
