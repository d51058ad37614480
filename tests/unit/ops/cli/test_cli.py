from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.commands import churn
from support.paths import ROOT

from app.security import KeyStore


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_HOME", str(tmp_path / "home"))
    for name in ("PORT", "HOST", "MODEL_SOURCE", "MLFLOW_TRACKING_URI", "API_KEYS_FILE", "AUTH", "CHURN_DEBUG"):
        monkeypatch.delenv(name, raising=False)


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys, ops.cli.main\n"
        "heavy = {'mlflow', 'pandas', 'sklearn', 'numpy', 'pyarrow', 'pydantic', 'httpx', 'onnxruntime'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_key_makes_an_entry_that_the_api_accepts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert churn(monkeypatch, "key", "web-shop", "--scope", "predict", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [printed["entry"]]}))
    principal = KeyStore(tmp_path / "keys.json").find(printed["key"].encode())
    assert principal is not None
    assert principal.scopes == {"predict"}


@pytest.mark.parametrize("arguments", [("key", "Web Shop"), ("key", "shop", "--scope", "all"), ("nonsense",)])
def test_bad_usage_is_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert churn(monkeypatch, *arguments) == 2
    assert "Error" in capsys.readouterr().err


def test_bad_data_is_2_with_every_violation_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data = tmp_path / "customers.csv"
    data.write_text("gender,churned\nOther,1\n")
    assert churn(monkeypatch, "train", "--data", str(data), "--tracking-uri", "http://127.0.0.1:9") == 2
    errors = capsys.readouterr().err
    assert "gender: row 1 (line 2): 'Other'; expected one of 'Female', 'Male'" in errors
    assert "tenure_months: column is missing" in errors
    assert "Traceback" not in errors


def test_a_setting_that_cannot_work_is_2_with_a_plain_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert churn(monkeypatch, "train", "--offer-cost", "1000", "--tracking-uri", "http://127.0.0.1:9") == 2
    errors = capsys.readouterr().err
    assert "an offer of 1000 can never pay" in errors
    assert "validation error" not in errors


def test_a_server_that_does_not_answer_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert churn(monkeypatch, "history", "--tracking-uri", "http://127.0.0.1:9") == 1
    assert capsys.readouterr().err.startswith("Error: no MLflow server answers at http://127.0.0.1:9")


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert churn(monkeypatch, "--debug", "history", "--tracking-uri", "http://127.0.0.1:9") == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_refused_version_is_1_and_names_the_gate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from app.bundle import GateResult  # noqa: PLC0415 - takes seconds, which the other tests need not wait for
    from training.result import TrainResult  # noqa: PLC0415 - likewise

    refused = TrainResult(
        version="4", run_id="r", model_type="logistic_regression", rows=300, metrics={}, staged=False,
        cross_validation=(), gates=(GateResult(name="leak", passed=False, detail="above it by 0.1"),), warnings=(),
        seconds={},
    )  # fmt: skip
    monkeypatch.setattr("training.train.train", lambda _config, **_: refused)
    (tmp_path / "c.csv").touch()
    options = ("--data", str(tmp_path / "c.csv"), "--promote", "--json", "--tracking-uri", "http://127.0.0.1:9")
    assert churn(monkeypatch, "train", *options) == 1
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert result["staged"] is False
    assert result["error"]["exit_code"] == 1
    assert "gate leak: above it by 0.1" in result["error"]["message"]
    assert "version 4 is registered but refused, no alias moved: gate leak: above it by 0.1" in shown.err


def test_generate_writes_the_file_and_the_truth(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "new folder" / "c.parquet"
    assert churn(monkeypatch, "data", "generate", "--rows", "300", "--out", str(out), "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["rows"], shown["path"]) == (300, str(out))
    assert out.exists()


def test_score_needs_a_folder_or_an_alias(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert churn(monkeypatch, "score", "in.csv", "out.csv", "--model", "best") == 2
    assert "'best' is neither a folder nor one of production, staging, previous" in capsys.readouterr().err


class Executed(Exception):  # noqa: N818 - stands for a call that never returns
    pass


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment that ``churn serve`` starts the API with."""
    seen: dict[str, str] = {}

    def execve(_path: str, arguments: list[str], environment: dict[str, str]) -> Any:
        assert arguments[1:] == ["-m", "app"]
        seen.update(environment)
        raise Executed

    monkeypatch.setattr(os, "execve", execve)
    return seen


def test_serve_falls_back_to_the_embedded_platform(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], tmp_path: Path
) -> None:
    churn(monkeypatch, "serve", "--port", "0")
    home = tmp_path / "home"
    assert environment["MODEL_CACHE_DIR"] == str(home / "model-cache")
    assert KeyStore(Path(environment["API_KEYS_FILE"])).find((home / "demo-key").read_text().strip().encode())
    assert environment["PORT"] == "0"


def test_serve_keeps_what_is_set(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], tmp_path: Path) -> None:
    monkeypatch.setenv("API_KEYS_FILE", "/etc/keys.json")
    churn(monkeypatch, "serve", "--model", str(tmp_path), "--port", "0")
    assert (environment["API_KEYS_FILE"], environment["MODEL_SOURCE"]) == ("/etc/keys.json", str(tmp_path))
    assert not (tmp_path / "home").exists()


def test_serve_names_a_port_in_use(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert churn(monkeypatch, "serve", "--port", str(port)) == 2
    assert f"port {port} of 127.0.0.1 is in use" in capsys.readouterr().err
