"""How secret files reach MLflow. That MLflow then does what they say is tested with a real server in tests/services."""

from __future__ import annotations

import configparser
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ops.errors import OpsError
from ops.jobs import tracking_pod
from ops.jobs.logins import Login

URI = "postgresql+psycopg2://?service=churn"
FILES = {"username": "admin\n", "password": "pass%word", "session_key": "key"}


@pytest.fixture
def logins(tmp_path: Path) -> Path:
    folder = tmp_path / "mlflow-admin"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_text(content)
    return folder


@pytest.fixture
def started(
    monkeypatch: pytest.MonkeyPatch, logins: Path, tmp_path: Path
) -> list[tuple[str, list[str], dict[str, str]]]:
    """What the process would have become."""
    became: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda *call: became.append(call))
    monkeypatch.setenv("MLFLOW_LOGIN_DIR", str(logins))
    monkeypatch.setenv("PGSERVICEFILE", "/run/service")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return became


def test_the_server_gets_its_options_and_its_secrets_elsewhere(
    started: list[tuple[str, list[str], dict[str, str]]],
) -> None:
    tracking_pod.main(["server", "--host", "0.0.0.0", "--backend-store-uri", URI])  # noqa: S104 - a value
    ((program, command, environment),) = started
    assert program == sys.executable
    assert command[1:] == ["-m", "mlflow", "server", "--host", "0.0.0.0", "--backend-store-uri", URI]  # noqa: S104
    assert environment["MLFLOW_FLASK_SERVER_SECRET_KEY"] == FILES["session_key"]
    assert environment["PGSERVICEFILE"] == "/run/service"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert FILES["password"] not in "".join([*command, *environment.values()])


def test_the_configuration_is_readable_by_its_owner_alone_and_holds_no_password(
    started: list[tuple[str, list[str], dict[str, str]]],
) -> None:
    tracking_pod.main(["server", f"--backend-store-uri={URI}"])
    path = Path(started[0][2]["MLFLOW_AUTH_CONFIG_PATH"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    parser = configparser.ConfigParser()
    parser.read(path)
    assert dict(parser["mlflow"]) == {
        "default_permission": "READ",
        "database_uri": URI,
        "admin_username": "admin",
        "authorization_function": "ops.jobs.tracking_login:authorize",
        "auth_cache_ttl_seconds": "60",
    }


def test_an_address_with_percent_signs_arrives_as_it_is() -> None:
    parser = configparser.ConfigParser()
    parser.read_string(tracking_pod.auth_config("sqlite:////data/a%20b.db", "admin"))
    assert parser["mlflow"]["database_uri"] == "sqlite:////data/a%20b.db"


def test_removal_logs_in_as_the_administrator(started: list[tuple[str, list[str], dict[str, str]]]) -> None:
    tracking_pod.main(["gc", "--older-than", "30d"])
    ((_, command, environment),) = started
    assert command[1:] == ["-m", "mlflow", "gc", "--older-than", "30d"]
    assert environment["MLFLOW_TRACKING_USERNAME"] == "admin"
    assert environment["MLFLOW_TRACKING_PASSWORD"] == FILES["password"]
    assert "MLFLOW_FLASK_SERVER_SECRET_KEY" not in environment


@pytest.mark.usefixtures("started")
@pytest.mark.parametrize("name", ["username", "session_key"])
def test_a_missing_or_empty_file_is_named(logins: Path, name: str) -> None:
    (logins / name).write_text("\n")
    with pytest.raises(OpsError, match=f"mlflow-admin/{name} is empty"):
        tracking_pod.main(["server", "--backend-store-uri", URI])
    (logins / name).unlink()
    with pytest.raises(OpsError, match=f"mlflow-admin/{name}: No such file .*: mount the secret 'mlflow-admin' there"):
        tracking_pod.main(["server", "--backend-store-uri", URI])


@pytest.mark.usefixtures("started")
def test_a_server_without_a_database_is_refused() -> None:
    with pytest.raises(OpsError, match="--backend-store-uri is missing"):
        tracking_pod.main(["server"])


@pytest.mark.parametrize("arguments", [[], ["help"], ["ui", "--port", "1"]])
def test_only_what_it_is_for(arguments: list[str]) -> None:
    with pytest.raises(OpsError, match="usage"):
        tracking_pod.main(arguments)


def test_a_failure_is_one_line_and_an_exit_code_that_asks_for_a_person() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_LOGIN_DIR"}
    done = subprocess.run(
        [sys.executable, "-m", "ops.jobs.tracking_pod", "gc"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "Error: MLFLOW_LOGIN_DIR is not set: name the folder with username, password and session_key\n"
    )


def test_a_login_does_not_show_its_password(logins: Path) -> None:
    assert repr(Login.read(logins)) == "Login('admin')"
