"""The embedded platform with several models: the API serves all of them, and only the first is trained by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.commands import churn

from ops.console import Output
from ops.local import embedded, mlflow_server
from ops.local.embedded import Platform, UpOptions
from ops.local.home import Home


class Processes:
    """Keeps what would be started, and runs nothing."""

    def __init__(self) -> None:
        self.commands: list[Sequence[str]] = []
        self.environment: Mapping[str, str] = {}

    def start(self, _name: str, _command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.environment = environment

    def run(self, command: Sequence[str], _environment: Mapping[str, str], **_: Any) -> int:
        self.commands.append(command)
        return 0


Build = Callable[..., tuple[Platform, Processes]]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    monkeypatch.setenv("CHURN_HOME", str(tmp_path))
    home = Home.from_environment()

    def platform(**options: Any) -> tuple[Platform, Processes]:
        processes = Processes()
        chosen = UpOptions(started=time.monotonic(), **options)
        return Platform(home, None, processes, Output(), chosen), processes  # type: ignore[arg-type]  # for this test

    return platform


@pytest.mark.parametrize(
    ("options", "models"), [({}, "churn"), ({"models": ("bank", "churn")}, "bank,churn")], ids=["one", "two"]
)
def test_the_api_serves_the_models_of_the_options(build: Build, options: dict[str, Any], models: str) -> None:
    platform, processes = build(**options)
    platform._start_api()
    assert processes.environment["MODELS"] == models


def test_the_first_model_is_asked_for_and_trained(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    platform, processes = build(models=("bank", "churn"))
    asked = []

    def has_production(_url: str, name: str) -> bool:
        asked.append(name)
        return True

    monkeypatch.setattr(mlflow_server, "has_production", has_production)
    monkeypatch.setattr(Platform, "_announce", lambda _: None)
    platform._ask_mlflow()
    platform._train()
    assert asked == ["bank"]
    (command,) = [command for command in processes.commands if "train" in command]
    assert command[command.index("--model-name") + 1] == "bank"


@pytest.mark.parametrize("names", ["", "churn,churn", "churn,a b"])
def test_names_that_cannot_be_served_are_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], names: str
) -> None:
    monkeypatch.setattr(embedded, "Platform", None)  # building it now fails
    assert churn(monkeypatch, "up", "--models", names) == 2
    assert "--models" in capsys.readouterr().err
