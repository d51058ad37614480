"""The migration's decisions. On PostgreSQL, with a server afterwards, it is tested in tests/services."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.backups import dump_manifest, write_manifest

from app.names import MLFLOW_CLIENT
from infra.kit import jobs
from ops.errors import ExitCode, OpsError, TemporaryError, exit_code
from ops.jobs import migrate

NOW = datetime(2026, 3, 1, 6, tzinfo=UTC)


def login(root: Path, username: str, password: str) -> str:
    folder = root / f"mlflow-{username}"
    folder.mkdir(exist_ok=True)
    (folder / "username").write_text(username)
    (folder / "password").write_text(password)
    return str(folder)


def test_a_backup_of_at_most_26_hours_is_enough(tmp_path: Path) -> None:
    folder = write_manifest(tmp_path, dump_manifest(1, finished_at=NOW - timedelta(hours=26)))
    assert migrate.require_backup(str(tmp_path), NOW).id == folder.name
    with pytest.raises(OpsError, match="last backup is from 2026-02-28 04:00 UTC, more than 26 hours ago: take one"):
        migrate.require_backup(str(tmp_path), NOW + timedelta(seconds=1))


def test_without_a_backup_the_way_to_one_is_shown(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match=r"has no complete backup of it: take one first .*cronjob/backup-postgres"):
        migrate.require_backup(str(tmp_path), NOW)
    with pytest.raises(OpsError, match="--backups names no place"):
        migrate.require_backup(None, NOW)


def test_a_refusal_has_the_exit_code_that_ends_the_job() -> None:
    ends_the_job: int = jobs.BAD_INPUT
    assert ends_the_job == ExitCode.BAD_INPUT == exit_code(OpsError())
    assert ends_the_job != exit_code(TemporaryError())


def test_missing_files_and_unknown_readers_are_refused_before_anything_is_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _settings_of_the_program(monkeypatch)
    database = tmp_path / "mlflow.db"
    uri = f"sqlite:///{database}"
    assert migrate.main(["--database", uri, "--admin", str(tmp_path / "mlflow-admin")]) == 2
    assert "mlflow-admin/username: No such file or directory" in capsys.readouterr().err
    assert migrate.main(["--database", uri, "--reader", login(tmp_path, "somebody", "x" * 12)]) == 2
    assert "'somebody' is not a reader: the server keeps only ['api'] from writing" in capsys.readouterr().err
    assert not database.exists()


def _settings_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program set them itself, and remove them afterwards."""
    for name, value in MLFLOW_CLIENT.items():
        monkeypatch.setenv(name, value)


# MLflow's server uses what Starlette, SQLAlchemy and Alembic want to drop.
@pytest.mark.filterwarnings("ignore:starlette.middleware.wsgi is deprecated", "ignore::DeprecationWarning")
def test_an_empty_database_gets_tables_users_and_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _settings_of_the_program(monkeypatch)
    database = tmp_path / "mlflow.db"
    users = ["--admin", login(tmp_path, "admin", "a-password-1"), "--reader", login(tmp_path, "api", "a-password-2")]
    options = ["--database", f"sqlite:///{database}", *users]
    assert migrate.main(options) == 0
    assert "user api: created" in capsys.readouterr().out
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT username, is_admin FROM users ORDER BY 1").fetchall() == [
            ("admin", 1),
            ("api", 0),
        ]
        assert connection.execute("SELECT name FROM registered_models").fetchall() == [("churn",)]
        assert connection.execute("SELECT experiment_id, artifact_location FROM experiments").fetchall() == [
            (0, "mlflow-artifacts:/0")
        ]
        # Somebody made the API an administrator.
        connection.execute("UPDATE users SET is_admin = 1 WHERE username = 'api'")
    connection.close()
    assert migrate.main(options) == 0
    assert "user api: unchanged" in capsys.readouterr().out
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT is_admin FROM users WHERE username = 'api'").fetchone() == (0,)
    connection.close()
    login(tmp_path, "api", "short")
    assert migrate.main(options) == 2
    assert capsys.readouterr().err.endswith(
        "Error: MLflow refuses the login 'api': Password must be at least 12 characters.\n"
    )
