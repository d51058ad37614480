"""``churn register``: that its options and their defaults reach the registration, and what is reported at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.commands import churn
from support.paths import ROOT

from app.schemas import telco
from ops.errors import ExitCode
from ops.local import mlflow_server
from training.config import RegisterConfig
from training.contract_file import read

BANK = ROOT / "contracts" / "bank.yaml"
STARTED = "http://127.0.0.1:5000"
"""Address of a server that is started for the command."""


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[RegisterConfig]:
    """Configurations that registrations were called with; a registration ends at once, as if it failed."""
    configs: list[RegisterConfig] = []

    def register(config: RegisterConfig, **_: object) -> None:
        configs.append(config)
        raise RuntimeError("the registration ends here")

    @contextmanager
    def tracking_server(_home: object, _command: str, uri: str | None) -> Iterator[str]:
        yield uri or STARTED

    monkeypatch.setenv("CHURN_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("training.register.register", register)
    monkeypatch.setattr(mlflow_server, "tracking_server", tracking_server)
    for name in ("model.onnx", "golden.csv", "holdout.csv", "train.csv"):
        (tmp_path / name).touch()
    return configs


def test_the_defaults_are_those_of_the_registration(
    monkeypatch: pytest.MonkeyPatch, configs: list[RegisterConfig], tmp_path: Path
) -> None:
    model, data = tmp_path / "model.onnx", str(tmp_path / "holdout.csv")
    churn(monkeypatch, "register", str(model), "--data", data)
    assert configs == [RegisterConfig(model_file=model, source=data, tracking_uri=STARTED)]
    assert configs[0].contract == telco()


def test_options_reach_the_registration(
    monkeypatch: pytest.MonkeyPatch, configs: list[RegisterConfig], tmp_path: Path
) -> None:
    options = {
        "--contract": str(BANK),
        "--data": str(tmp_path / "holdout.csv"),
        "--golden": str(tmp_path / "golden.csv"),
        "--train-data": str(tmp_path / "train.csv"),
        "--note": "by the analysts",
        "--model-name": "bank",
        "--seed": "3",
        "--decimal": ",",
        "--tracking-uri": "http://other.example",
    }
    words = [word for pair in options.items() for word in pair]
    churn(monkeypatch, "register", str(tmp_path / "model.onnx"), *words, "--trust", "a.B", "--trust", "c.D")
    (config,) = configs
    assert config.contract == read(BANK)
    assert (config.source, config.golden) == (options["--data"], tmp_path / "golden.csv")
    assert (config.train_source, config.note) == (options["--train-data"], "by the analysts")
    assert (config.model_name, config.seed, config.trusted_types) == ("bank", 3, ("a.B", "c.D"))
    assert config.reading is not None
    assert config.reading.decimal == ","
    assert config.tracking_uri == "http://other.example"


@pytest.mark.parametrize(
    ("absent", "words"),
    [
        ("model.onnx", "model.onnx is no file at "),
        ("golden.csv", "golden.csv is no file at "),
        ("holdout.csv", "holdout.csv"),
        ("train.csv", "train.csv"),
    ],
)
def test_a_missing_file_is_reported_before_a_server_starts(
    absent: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    configs: list[RegisterConfig],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(mlflow_server, "tracking_server", lambda *_: pytest.fail("a server was started"))
    (tmp_path / absent).unlink()
    options = ("--data", "holdout.csv"), ("--golden", "golden.csv"), ("--train-data", "train.csv")
    arguments = [word for option, name in options for word in (option, str(tmp_path / name))]
    assert churn(monkeypatch, "register", str(tmp_path / "model.onnx"), *arguments) == ExitCode.BAD_INPUT
    assert words in capsys.readouterr().err
    assert configs == []


def test_a_wrong_name_of_a_model_is_wrong_input(
    monkeypatch: pytest.MonkeyPatch, configs: list[RegisterConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = str(tmp_path / "model.onnx"), str(tmp_path / "holdout.csv")
    assert churn(monkeypatch, "register", model, "--data", data, "--model-name", "a b") == ExitCode.BAD_INPUT
    assert "'a b' is no name of a model" in " ".join(capsys.readouterr().err.split())
    assert configs == []
