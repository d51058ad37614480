"""The secrets of the alert receivers, checked and put into moto's Secrets Manager."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.aws_api import account

from infra.secret_files import ALERT_RECEIVERS
from ops.cli.receivers import receivers
from ops.errors import OpsError

VALUES = dict.fromkeys(ALERT_RECEIVERS.files, "https://example.com/canary")


def written(folder: Path, content: Any) -> Path:
    path = folder / "receivers.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_values_become_the_current_version_of_the_stacks_secret(tmp_path: Path) -> None:
    with account():
        client = boto3.client("secretsmanager")
        names = ("churn-prod/alert-receivers-a1", "churn-prod/alert-receivers-old", "churn-staging/alert-receivers-b2")
        for name in (names[0], names[2]):
            client.create_secret(Name=name)
        receivers(written(tmp_path, VALUES), stack="prod")
        assert json.loads(client.get_secret_value(SecretId=names[0])["SecretString"]) == VALUES
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.get_secret_value(SecretId=names[2])
        client.create_secret(Name=names[1])
        with pytest.raises(OpsError, match="2 secrets are called"):
            receivers(written(tmp_path, VALUES), stack="prod")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (VALUES | {"slack_url": 7}, "slack_url is a number, not a text: put it in quotation marks"),
        ({key: VALUES[key] for key in VALUES if key != "slack_url"}, "slack_url is missing"),
        (VALUES | {"slack_url": ""}, "slack_url is empty, but churn:alertmanager.slack is on in prod"),
        (VALUES | {"slak_url": "canary"}, "slak_url is no key that anybody reads"),
        (["canary"], "it is not an object with the keys"),
        ("{canary", "is not JSON"),
    ],
)
def test_what_would_keep_a_pod_from_starting_is_refused_before(content: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(OpsError) as caught:
        receivers(written(tmp_path, content), stack="prod", check=True)
    assert reason in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_check_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    receivers(written(tmp_path, VALUES), stack="prod", check=True)
    assert "can be used for prod" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match=r"nothing\.json cannot be read: No such file"):
        receivers(tmp_path / "nothing.json", stack="prod", check=True)
