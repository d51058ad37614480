"""``churn train``: which registry it uses, and that its options and their defaults reach the training."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import pytest
from support.commands import churn

from ops.cli.train import ModelChoice, SplitChoice
from ops.errors import ExitCode
from ops.local import mlflow_server
from training.config import BuiltIn, CostModel, SplitKind, TrainConfig
from training.contract_file import read

STARTED = "http://127.0.0.1:5000"
"""Address of a server that is started for the command."""


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[TrainConfig]:
    """Configurations that trainings were called with; a training ends at once, as if it failed."""
    configs: list[TrainConfig] = []

    def train(config: TrainConfig, **_: object) -> None:
        configs.append(config)
        raise RuntimeError("the training ends here")

    @contextmanager
    def tracking_server(_home: object, _command: str, uri: str | None) -> Iterator[str]:
        yield uri or STARTED

    monkeypatch.setenv("CHURN_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("training.train.train", train)
    monkeypatch.setattr(mlflow_server, "tracking_server", tracking_server)
    (tmp_path / "x.csv").touch()
    return configs


@pytest.mark.parametrize(
    ("environment", "arguments", "expected"),
    [
        (None, [], STARTED),
        ("http://mlflow.example:5000", [], "http://mlflow.example:5000"),
        ("http://mlflow.example:5000", ["--tracking-uri", "http://other.example"], "http://other.example"),
    ],
)
def test_the_registry_is_that_of_the_option_then_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    configs: list[TrainConfig],
    tmp_path: Path,
    environment: str | None,
    arguments: list[str],
    expected: str,
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if environment:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", environment)
    churn(monkeypatch, "train", "--data", str(tmp_path / "x.csv"), *arguments)
    assert [config.tracking_uri for config in configs] == [expected]


def test_the_defaults_are_those_of_the_training(
    monkeypatch: pytest.MonkeyPatch, configs: list[TrainConfig], tmp_path: Path
) -> None:
    source = str(tmp_path / "x.csv")
    churn(monkeypatch, "train", "--data", source, "--tracking-uri", STARTED)
    assert configs == [TrainConfig(source=source, tracking_uri=STARTED)]


def test_options_reach_the_training(
    monkeypatch: pytest.MonkeyPatch, configs: list[TrainConfig], tmp_path: Path
) -> None:
    options = {
        "--model": "auto",
        "--search": "12",
        "--seed": "3",
        "--offer-cost": "10",
        "--customer-value": "900",
        "--retained-share": "0.5",
    }
    words = [word for option in options.items() for word in option]
    churn(monkeypatch, "train", "--data", str(tmp_path / "x.csv"), "--tracking-uri", STARTED, *words)
    (config,) = configs
    assert (config.model, config.search, config.seed) == ("auto", 12, 3)
    assert config.cost == CostModel(offer_cost=10, customer_value=900, retained_share=0.5)


def test_a_contract_reaches_the_training_with_its_cost_model(
    monkeypatch: pytest.MonkeyPatch, configs: list[TrainConfig], tmp_path: Path
) -> None:
    text = Path("contracts/telco.yaml").read_text(encoding="utf-8")
    file = tmp_path / "mine.yaml"
    file.write_text(f"{text}\ncost: {{offer_cost: 30, customer_value: 600, retained_share: 0.5}}\n", encoding="utf-8")
    options = ("--data", str(tmp_path / "x.csv"), "--tracking-uri", STARTED, "--contract", str(file))
    churn(monkeypatch, "train", *options, "--customer-value", "900")
    (config,) = configs
    assert config.contract == read(file)
    assert config.cost == CostModel(offer_cost=30, customer_value=900, retained_share=0.5)


def test_a_contract_that_cannot_be_read_is_wrong_input(
    monkeypatch: pytest.MonkeyPatch, configs: list[TrainConfig], tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text("contract: 7\n", encoding="utf-8")
    options = ("--data", str(tmp_path / "x.csv"), "--contract", str(tmp_path / "c.yaml"))
    assert churn(monkeypatch, "train", *options) == ExitCode.BAD_INPUT
    assert configs == []


def test_a_split_by_time_needs_a_contract_with_days(
    monkeypatch: pytest.MonkeyPatch, configs: list[TrainConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--data", str(tmp_path / "x.csv"), "--tracking-uri", STARTED, "--split", "time")
    assert churn(monkeypatch, "train", *options) == ExitCode.BAD_INPUT
    assert "name the column there with as_of, or split at random" in " ".join(capsys.readouterr().err.split())
    file = tmp_path / "mine.yaml"
    file.write_text(Path("contracts/bank.yaml").read_text(encoding="utf-8") + "\nas_of: day\n", encoding="utf-8")
    churn(monkeypatch, "train", *options, "--contract", str(file))
    assert [config.split for config in configs] == ["time"]


def test_the_choices_of_a_split_are_those_of_the_training() -> None:
    assert {choice.value for choice in SplitChoice} == {*get_args(SplitKind)}


def test_the_choices_of_a_model_are_those_of_the_training() -> None:
    assert {choice.value for choice in ModelChoice} == {"auto", *get_args(BuiltIn)}


def test_a_classifier_of_ones_own_reaches_the_training(
    monkeypatch: pytest.MonkeyPatch, configs: list[TrainConfig], tmp_path: Path
) -> None:
    estimator = "sklearn.ensemble:RandomForestClassifier"
    churn(monkeypatch, "train", "--data", str(tmp_path / "x.csv"), "--estimator", estimator)
    assert [config.estimator for config in configs] == [estimator]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--estimator", "absent_module:forest"], "there is no module 'absent_module', neither in "),
        (["--estimator", "sklearn.cluster:KMeans"], "has neither predict_proba nor decision_function"),
        (["--estimator", "a:b", "--search", "5"], "--search 5 and --estimator a:b: only the ranges of built-in models"),
        (["--estimator", "a:b", "--model", "auto"], "--model auto and --estimator a:b: leave one of the two out"),
        (["--model", "xgboost"], "xgboost cannot be imported"),
        (["--model", "lightgbm"], "lightgbm cannot be imported"),
    ],
)
def test_a_classifier_that_cannot_be_used_is_wrong_input_before_a_server_starts(
    monkeypatch: pytest.MonkeyPatch,
    configs: list[TrainConfig],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.setattr(mlflow_server, "tracking_server", None)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for library in ("xgboost", "lightgbm"):
        monkeypatch.setitem(sys.modules, library, None)
    assert churn(monkeypatch, "train", "--data", str(tmp_path / "x.csv"), *words) == ExitCode.BAD_INPUT
    assert message in " ".join(capsys.readouterr().err.split())
    assert configs == []
