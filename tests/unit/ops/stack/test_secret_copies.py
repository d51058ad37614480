"""A second region's stack gets the API keys and receivers of the lost one; moto plays both regions."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from support.aws_api import account
from support.procedures import commands

from ops.errors import OpsError
from ops.stack import secret_copies
from ops.stack.receivers import put

LOST, SECOND = "eu-central-1", "eu-west-1"
ROLES = ("api-client-web-shop", "api-keys", "alert-receivers", "mlflow-api", "postgres-superuser")


@pytest.fixture
def second() -> Iterator[Any]:
    """Secrets Manager of the second region: copies of the lost stack's secrets, and those of the new stack."""
    with account(LOST):
        for stack in ("prod", "staging"):
            for role in ROLES:
                boto3.client("secretsmanager", region_name=LOST).create_secret(
                    Name=f"churn-{stack}/{role}-lost", SecretString=f"{stack}'s {role}",
                    AddReplicaRegions=[{"Region": SECOND}],
                )  # fmt: skip
        client = boto3.client("secretsmanager", region_name=SECOND)
        for role in ROLES:
            client.create_secret(Name=f"churn-prod/{role}-new", SecretString="made by the new stack")
        yield client


def values(client: Any, ending: str) -> dict[str, str]:
    return {role: client.get_secret_value(SecretId=f"churn-prod/{role}-{ending}")["SecretString"] for role in ROLES}


def test_clients_keep_their_keys_and_all_else_stays_new(second: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = [line for line in commands("Region lost", "text").splitlines() if "secret_copies" in line]
    program, *arguments = shlex.split(line.partition("#")[0])
    assert (program, arguments[:2]) == (".venv/bin/python", ["-m", "ops.stack.secret_copies"])
    assert secret_copies.main([word.replace("$REGION", SECOND) for word in arguments[2:]]) == 0
    assert values(second, "new") == {role: f"prod's {role}" for role in ROLES[:3]} | dict.fromkeys(
        ROLES[3:], "made by the new stack"
    )
    assert values(second, "lost") == {role: f"prod's {role}" for role in ROLES}
    printed = capsys.readouterr().out
    assert [line.partition(":")[0] for line in printed.splitlines()] == [ROLES[0], ROLES[2], ROLES[1]]
    assert "prod's" not in printed


def test_a_second_run_writes_nothing(second: Any) -> None:
    lines: list[str] = []
    secret_copies.take_over(second, "prod", lines.append)
    versions = [second.describe_secret(SecretId=f"churn-prod/{role}-new")["VersionIdsToStages"] for role in ROLES]
    secret_copies.take_over(second, "prod", lines.append)
    assert versions == [
        second.describe_secret(SecretId=f"churn-prod/{role}-new")["VersionIdsToStages"] for role in ROLES
    ]
    assert lines[3:] == [f"{role}: had it already" for role in (ROLES[0], ROLES[2], ROLES[1])]


def test_a_client_that_the_new_stack_does_not_list_is_named_and_nothing_is_written(second: Any) -> None:
    second.delete_secret(SecretId="churn-prod/api-client-web-shop-new", ForceDeleteWithoutRecovery=True)
    with pytest.raises(OpsError, match=r"0 secrets are called churn-prod/api-client-web-shop-\.\.\."):
        secret_copies.take_over(second, "prod", print)
    assert second.get_secret_value(SecretId="churn-prod/api-keys-new")["SecretString"] == "made by the new stack"


def test_where_there_are_no_copies_the_remedy_is_named(second: Any, capsys: pytest.CaptureFixture[str]) -> None:
    del second
    assert secret_copies.main(["--stack", "prod", "--region", LOST]) == 2
    assert "there are no copies of prod's secrets here: name the region that has them" in capsys.readouterr().err


def test_receivers_are_put_into_the_stacks_own_secret_beside_a_copy(second: Any) -> None:
    assert put(second, "prod", {"slack_url": "new"}) == "churn-prod/alert-receivers-new"
    assert values(second, "lost")["alert-receivers"] == "prod's alert-receivers"
