"""Which key encrypts a stack's state, and whether something on this machine would put another one in its place.

The line ``secretsprovider`` in the stack's file is enough: Pulumi makes the data key that belongs to it. Without the
line, it takes a passphrase that is set, even an empty one, and encrypts the state anew with that; nobody else can read
the state then (pulumi/pulumi, pkg/cmd/pulumi/stack/secrets.go: GetSecretsManager; pkg/secrets/passphrase/manager.go,
which takes the variable even if it is empty).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from ops.stack.doctor_checks import Finding, Level

CHECK: Final = "state's key"
KMS: Final = "awskms://"
PASSPHRASES: Final = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
OVERRIDE: Final = "PULUMI_CLOUD_SECRET_OVERRIDE"
"""Takes the place of the line in the stack's file, if it is set (pulumi/pulumi, pkg/secrets/cloud/manager.go)."""


def state_key(stack: str, root: Path, environment: Mapping[str, str]) -> list[Finding]:
    """Return what is wrong with the key of a stack on AWS, or that nothing is; none for a stack on a local cluster."""
    path = root / f"Pulumi.{stack}.yaml"
    settings: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if settings.get("config", {}).get("churn:cluster", {}).get("kind") != "eks":
        return []
    problems = [*_of_file(path.name, stack, settings), *_of_environment(path.name, environment)]
    provider = settings.get("secretsprovider")
    return problems or [Finding(check=CHECK, level=Level.OK, text=f"{path.name} names the key {provider}")]


def _of_file(name: str, stack: str, settings: Mapping[str, Any]) -> list[Finding]:
    provider = str(settings.get("secretsprovider", ""))
    if not provider.startswith(KMS):
        region = settings.get("config", {}).get("churn:account", {}).get("region", "REGION")
        line = f"secretsprovider: {KMS}/alias/churn-pulumi-{stack}?region={region}"
        return [_error(f"{name} names no KMS key for the state", f"add the line `{line}` and commit it")]
    if "encryptionsalt" in settings:
        text = f"{name} has `encryptionsalt`: a passphrase has encrypted values in it, and perhaps the state"
        return [_error(text, "take the file from the main branch; docs/aws.md says how to repair the state")]
    return []


def _of_environment(name: str, environment: Mapping[str, str]) -> list[Finding]:
    text = f"is set, and a KMS key encrypts the state: without the line in {name}, the state would be encrypted anew"
    return [
        _error(f"{variable} {text}", f"run `unset {variable}`")
        for variable in (*PASSPHRASES, OVERRIDE)
        if variable in environment
    ]


def _error(text: str, remedy: str) -> Finding:
    return Finding(check=CHECK, level=Level.ERROR, text=text, remedy=remedy)
