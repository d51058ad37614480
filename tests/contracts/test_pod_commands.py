"""Every pod that runs `churn` gives it a command that exists, with arguments that the command takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from support.recorder import STACKS, containers, pod_templates, recorded
from typer.exceptions import TyperException

from ops.cli.main import app

CHURN = ["python", "-m", "ops.cli"]


def commands(stack: str) -> Iterator[tuple[str, list[str]]]:
    """The words after `churn` in each pod that runs it, by the pod's name."""
    for name, template in pod_templates(recorded(stack)):
        for container in containers(template):
            if container.get("command", [])[: len(CHURN)] == CHURN:
                yield name, [*container["command"][len(CHURN) :], *container.get("args", [])]


def parse(words: list[str]) -> dict[str, Any]:
    """The values that a command line gives to the command's parameters."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    values: dict[str, Any] = command.make_context(command.name, rest).params
    return values


@pytest.mark.parametrize("stack", STACKS)
def test_each_command_line_is_taken(stack: str) -> None:
    lines = dict(commands(stack))
    assert {words[0] for words in lines.values()} >= {"backup", "drill"}
    for words in lines.values():
        assert parse(words)


def test_values_arrive_where_they_belong() -> None:
    lines = {" ".join(words[:2]): parse(words) for _, words in commands("prod")}
    dump, copy = lines["backup postgres"], lines["backup artifacts"]
    assert (dump["service"], list(dump["database"]), dump["wait"]) == ("churn", ["mlflow", "grafana"], 60)
    assert (str(dump["to"]), dump["keep_days"], dump["keep_uploaded"]) == ("/var/lib/backups", 7, 90)
    assert dump["upload"] == copy["upload"] == "s3://churn-prod-backups-000000000000-eu-central-1"
    assert copy["source"] == "s3://churn-prod-artifacts-000000000000-eu-central-1/artifacts"
    (drill,) = (values for name, values in lines.items() if name.startswith("drill"))
    assert (drill["source"], drill["remote"]) == (
        "/var/lib/backups",
        "s3://churn-prod-backups-000000000000-eu-central-1",
    )
    assert (str(drill["scratch"]), str(drill["reports"])) == ("/var/lib/drill", "/var/lib/drill-reports")


@pytest.mark.parametrize(
    "words", [["backup", "postgres", "--services", "churn"], ["drill"], ["backup", "artifacts", "--keep-days", "0"]]
)
def test_a_wrong_command_line_is_refused(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHURN_BACKUPS", raising=False)
    with pytest.raises(TyperException):
        parse(words)
