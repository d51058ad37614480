"""Which MLflow a command uses, and that it waits for one that another command is just starting."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from app.names import MLFLOW_CLIENT
from ops.errors import OpsError
from ops.local import mlflow_server
from ops.local.home import Home

URL = "http://127.0.0.1:5"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name, value in MLFLOW_CLIENT.items():
        monkeypatch.setenv(name, value)
    return Home(tmp_path)


def test_a_named_server_is_used(home: Home) -> None:
    with home.use("churn up"), mlflow_server.tracking_server(home, "churn train", "http://host") as url:
        assert url == "http://host"


def test_a_running_server_is_used_at_once(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    with home.use("churn up") as lock:
        lock.announce(mlflow_url=URL)
        with mlflow_server.tracking_server(home, "churn train", None) as url:
            assert url == URL
    assert capsys.readouterr().err == ""


def test_a_server_that_is_still_starting_is_waited_for(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with home.use("churn up") as lock:
        monkeypatch.setattr(time, "sleep", lambda _seconds: lock.announce(mlflow_url=URL))
        with mlflow_server.tracking_server(home, "churn train", None) as url:
            assert url == URL
    assert "is in use by 'churn up' (process" in capsys.readouterr().err


def test_the_wait_names_its_reason_and_has_an_end(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_server, "OTHERS_SECONDS", 0)
    with (
        home.use("churn up"),
        pytest.raises(OpsError, match="is in use: 'churn up' runs as process"),
        mlflow_server.tracking_server(home, "churn train", None),
    ):
        pytest.fail("there is no server")
    assert "is in use by 'churn up' (process" in capsys.readouterr().err


def test_the_wait_ends_when_the_other_command_ends(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with home.use("churn train"):
        ended = iter([True, True, False])
        monkeypatch.setattr(Home, "in_use", lambda _self: next(ended))
        assert mlflow_server._running_url(home) is None
    assert next(ended, None) is None
