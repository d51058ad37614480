"""The real command line with a KMS key (moto's): the one line of the stack's file is enough, and a passphrase is not.

What a passphrase does without the line is shown too, since `churn doctor` and the workflows refuse it for that.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi import automation as auto
from support.s3 import client, environment, moto
from support.servers import TOOL_FOLDERS

pytestmark = [pytest.mark.service, pytest.mark.timeout(300, func_only=True)]
ALIAS = "alias/churn-pulumi-staging"
KEY = f"awskms:///{ALIAS}?region=eu-central-1"
LINE = f"secretsprovider: {KEY}\n"


class Checkouts:
    """Checkouts of one stack, whose state is in a folder and whose key is in moto."""

    def __init__(self, folder: Path, command: auto.PulumiCommand, url: str) -> None:
        self._folder, self._command = folder, command.command
        (folder / "state").mkdir()
        self._environment = environment(url) | {
            "PATH": TOOL_FOLDERS,
            "HOME": str(folder),
            "PULUMI_HOME": str(folder / ".pulumi"),
            "PULUMI_BACKEND_URL": f"{(folder / 'state').as_uri()}?metadata=skip",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }

    def new(self, name: str, settings: str) -> Path:
        """Make a checkout with this text in the stack's file."""
        checkout = self._folder / name
        checkout.mkdir()
        (checkout / "Pulumi.yaml").write_text("name: churn\nruntime: yaml\n")
        (checkout / "Pulumi.staging.yaml").write_text(settings)
        return checkout

    def run(self, checkout: Path, *arguments: str, **more: str) -> str:
        """Run Pulumi's command line there; it must succeed."""
        command = [self._command, *arguments, "--stack", "staging", "--non-interactive"]
        done = subprocess.run(
            command,
            cwd=checkout,
            env=self._environment | more,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()


@pytest.fixture
def checkouts(tmp_path: Path, command: auto.PulumiCommand) -> Iterator[Checkouts]:
    with moto() as url:
        kms = client(url, "kms")
        kms.create_alias(AliasName=ALIAS, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
        yield Checkouts(tmp_path, command, url)


def settings(checkout: Path) -> str:
    return (checkout / "Pulumi.staging.yaml").read_text()


def test_the_line_alone_is_enough_for_any_checkout(checkouts: Checkouts) -> None:
    first = checkouts.new("first", f"{LINE}config: {{}}\n")
    checkouts.run(first, "stack", "init", "--secrets-provider", KEY)  # it alone ignores the line
    checkouts.run(first, "config", "set", "--secret", "token", "hush")
    assert LINE in settings(first)
    assert "encryptedkey: " in settings(first)
    # What is committed can be read by everybody who may use the key.
    assert checkouts.run(checkouts.new("second", settings(first)), "config", "get", "token") == "hush"
    # A checkout with nothing but the line makes a data key of its own, and a passphrase that is set is ignored.
    third = checkouts.new("third", f"{LINE}config: {{}}\n")
    checkouts.run(third, "config", "set", "--secret", "token", "hush", PULUMI_CONFIG_PASSPHRASE="")
    assert "encryptedkey: " in settings(third)
    assert "encryptionsalt" not in settings(third)


def test_without_the_line_an_empty_passphrase_takes_the_keys_place(checkouts: Checkouts) -> None:
    first = checkouts.new("first", f"{LINE}config: {{}}\n")
    checkouts.run(first, "stack", "init", "--secrets-provider", KEY)  # it alone ignores the line
    without = checkouts.new("without", "config: {}\n")
    checkouts.run(without, "config", "set", "--secret", "token", "hush", PULUMI_CONFIG_PASSPHRASE="")
    assert "encryptionsalt: " in settings(without)
    assert "encryptedkey" not in settings(without)
