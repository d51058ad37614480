from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from app.security import KeyStore
from ops.errors import OpsError
from ops.local.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "ho me")


def test_it_is_in_the_current_folder_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHURN_HOME", raising=False)
    assert Home.from_environment().root == tmp_path / ".churn"
    monkeypatch.setenv("CHURN_HOME", "elsewhere")
    assert Home.from_environment().root == tmp_path / "elsewhere"


def test_the_demo_key_is_made_once_and_is_valid(home: Home) -> None:
    key = home.demo_key()
    principal = KeyStore(home.keys_file).find(key.encode())
    assert principal is not None
    assert principal.scopes == {"predict", "admin"}
    assert home.demo_key() == key
    assert home.demo_key_file.stat().st_mode & 0o777 == 0o600
    assert key not in home.keys_file.read_text()


def test_a_lost_demo_key_is_replaced_and_other_clients_are_kept(home: Home) -> None:
    home.demo_key()
    keys = json.loads(home.keys_file.read_text())["keys"]
    other = {"id": "shop", "sha256": ["ab" * 32], "scopes": ["predict"]}
    home.keys_file.write_text(json.dumps({"keys": [*keys, other]}))
    home.demo_key_file.unlink()
    key = home.demo_key()
    assert KeyStore(home.keys_file).find(key.encode())
    assert json.loads(home.keys_file.read_text())["keys"][1] == other


def test_a_key_that_the_file_no_longer_contains_is_replaced(home: Home) -> None:
    home.demo_key()
    home.demo_key_file.write_text("demo.other\n")
    key = home.demo_key()
    assert KeyStore(home.keys_file).find(key.encode())


def test_a_keys_file_with_an_error_is_never_overwritten(home: Home) -> None:
    home.demo_key()
    home.keys_file.write_text('{"keys": [{}]}')
    with pytest.raises(OpsError, match=r"api-keys\.json: keys\.0.*Correct the file"):
        home.demo_key()
    assert home.keys_file.read_text() == '{"keys": [{}]}'


def test_one_process_uses_a_home_at_a_time(home: Home) -> None:
    with home.use("churn up") as lock:
        lock.announce(mlflow_url="http://127.0.0.1:5", api_url="http://127.0.0.1:8")
        running = home.running()
        assert running is not None
        assert (running.pid, running.mlflow_url) == (os.getpid(), "http://127.0.0.1:5")
        with (
            pytest.raises(OpsError, match=rf"'churn up' runs as process {os.getpid()}, serving at http://127.0.0.1:8"),
            home.use("churn demo"),
        ):
            pass
    assert home.running() is None
    with home.use("churn demo"):
        pass


def test_a_missing_home_is_not_in_use(home: Home) -> None:
    assert home.running() is None
