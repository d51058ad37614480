"""``python -m ops.jobs.retrain``: options, login and verdicts; tests/services has it train against a real MLflow."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pyarrow.parquet as pq
import pytest
from support.paths import ROOT

from app.names import MLFLOW_CLIENT
from ops import pushgateway
from ops.jobs import retrain
from ops.jobs.retrain import EXIT_CODES, Outcome, Verdict

URL = "http://127.0.0.1:9"
VARIABLES = (
    "MLFLOW_CREDENTIALS_DIR",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "PUSHGATEWAY_URL",
)


@pytest.fixture(autouse=True)
def _own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what the program sets for its process."""
    for name in (*MLFLOW_CLIENT, *VARIABLES):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(retrain, "limit_threads", lambda: 1)
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[Outcome]:
    """Outcomes that the pushgateway was told."""
    outcomes: list[Outcome] = []

    def push(url: str | None, job: str, figures: dict[str, Outcome], *, model: str) -> None:
        assert (url, job, model) == (URL, "training", "churn")
        outcomes.append(figures["outcome"])

    monkeypatch.setenv("MLFLOW_TRACKING_URI", URL)
    monkeypatch.setenv("PUSHGATEWAY_URL", URL)
    monkeypatch.setattr(retrain, "figures", lambda outcome, *_: {"outcome": outcome})
    monkeypatch.setattr(retrain, "push", push)
    return outcomes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of the arguments --data --rows is required"),
        (["--rows", "5000", "--data", "c.csv"], "not allowed with argument"),
        (["--rows", "10"], "10 customers are too few: generate at least 1000"),
        (["--rows", "many"], "invalid _row_count value: 'many'"),
        (["--rows", "1000", "--model-name", "a b"], "'a b' is no name of a model: up to 63 letters"),
    ],
)
def test_bad_usage_is_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        retrain.main(arguments)
    assert ended.value.code == EXIT_CODES["bad_input"]
    assert message in capsys.readouterr().err


def test_only_a_failure_that_may_pass_is_tried_again() -> None:
    assert EXIT_CODES == {"staged": 0, "failed": 1, "refused": 2, "bad_input": 2}
    assert set(EXIT_CODES) == set(get_args(Verdict))


def test_a_missing_address_of_mlflow_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert retrain.main(["--rows", "1000"]) == 2
    assert "MLFLOW_TRACKING_URI is not set" in capsys.readouterr().err


def test_the_login_is_read_from_files_into_this_process(tmp_path: Path) -> None:
    (tmp_path / "username").write_text("training\n")
    (tmp_path / "password").write_text("p w\n")
    environment = {"MLFLOW_CREDENTIALS_DIR": str(tmp_path)}
    retrain.log_in(environment)
    assert environment["MLFLOW_TRACKING_USERNAME"] == "training"
    assert environment["MLFLOW_TRACKING_PASSWORD"] == "p w"  # noqa: S105 - of this test


def test_without_a_folder_there_is_no_login() -> None:
    environment: dict[str, str] = {}
    retrain.log_in(environment)
    assert environment == {}


def test_a_missing_login_is_a_failure_with_a_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pushed: list[Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_CREDENTIALS_DIR", str(tmp_path))
    assert retrain.main(["--rows", "1000"]) == 1
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'username'}: No such file or directory")
    assert [outcome.verdict for outcome in pushed] == ["failed"]


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_a_verdict_becomes_the_exit_code_and_is_pushed(
    monkeypatch: pytest.MonkeyPatch, pushed: list[Outcome], verdict: Verdict
) -> None:
    monkeypatch.setattr(retrain, "_attempt", lambda *_: Outcome(verdict=verdict))
    assert retrain.main(["--rows", "1000"]) == EXIT_CODES[verdict]
    assert [outcome.verdict for outcome in pushed] == [verdict]


def test_nothing_to_do_is_0_and_no_run(monkeypatch: pytest.MonkeyPatch, pushed: list[Outcome]) -> None:
    monkeypatch.setattr(retrain, "_attempt", lambda *_: None)
    assert retrain.main(["--rows", "1000", "--first"]) == 0
    assert pushed == []


def test_a_stopped_run_exits_in_order_and_is_pushed_as_a_failure(
    monkeypatch: pytest.MonkeyPatch, pushed: list[Outcome]
) -> None:
    monkeypatch.setattr(retrain, "_attempt", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as ended:
        retrain.main(["--rows", "1000"])
    assert ended.value.code == 143
    assert [outcome.verdict for outcome in pushed] == ["failed"]


def test_a_pushgateway_that_is_down_is_mentioned_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pushgateway, "PAUSES", ())
    pushgateway.push("http://127.0.0.1:1", retrain.JOB, retrain.figures(Outcome(verdict="failed"), 1.0, 2.0))
    assert "the metrics of this run could not be pushed to http://127.0.0.1:1" in capsys.readouterr().err


def test_a_registry_that_is_down_is_a_failure_with_a_clear_message(
    pushed: list[Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    assert retrain.main(["--rows", "1000"]) == 1
    assert capsys.readouterr().err.startswith(f"no MLflow server answers at {URL}")
    assert [outcome.verdict for outcome in pushed] == ["failed"]


def test_a_refused_version_is_never_promoted(
    monkeypatch: pytest.MonkeyPatch, pushed: list[Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    from app.bundle import GateResult  # noqa: PLC0415 - takes seconds, which the other tests need not wait for
    from training.result import TrainResult  # noqa: PLC0415 - likewise

    gate = GateResult(name="leak", passed=False, detail="above it by 0.1")
    refused = TrainResult(
        version="1", run_id="r", model_type="logistic_regression", rows=1000, metrics={}, cross_validation=(),
        gates=(gate,), staged=False, warnings=(),
        seconds={},
    )  # fmt: skip

    def promote(*_: Any, **__: Any) -> None:
        raise AssertionError("a refused version was promoted")

    monkeypatch.setattr("training.train.train", lambda _config, **_: refused)
    monkeypatch.setattr("training.mlflow_store.connect", lambda _uri: None)
    monkeypatch.setattr("training.mlflow_store.by_alias", lambda *_: None)
    monkeypatch.setattr("training.compare.last_promoted", lambda *_: None)
    monkeypatch.setattr("training.registry.promote", promote)
    assert retrain.main(["--rows", "1000", "--data-seed", "1", "--first"]) == 2
    shown = capsys.readouterr()
    assert "gate leak         REFUSED: above it by 0.1" in shown.out
    assert "version 1 is registered but refused: no alias moved" in shown.err
    assert [(outcome.verdict, outcome.result) for outcome in pushed] == [("refused", refused)]


def test_a_first_version_that_needs_a_decision_stays_staged_and_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, pushed: list[Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    from training.evaluate import Metric  # noqa: PLC0415 - takes seconds, which the other tests need not wait for
    from training.registry import DecisionNeededError  # noqa: PLC0415 - likewise
    from training.result import TrainResult  # noqa: PLC0415 - likewise

    auc = {"auc": Metric(value=0.9, low=0.8, high=0.95)}
    staged = TrainResult(
        version="1", run_id="r", model_type="logistic_regression", rows=1000, metrics=auc, cross_validation=(),
        gates=(), staged=True, warnings=("gender is Male in every row",), seconds={},
    )  # fmt: skip

    def promote(*_: Any, **__: Any) -> None:
        raise DecisionNeededError("version 1 needs a person's decision, --acknowledge leak")

    monkeypatch.setattr("training.train.train", lambda _config, **_: staged)
    monkeypatch.setattr("training.mlflow_store.connect", lambda _uri: None)
    monkeypatch.setattr("training.mlflow_store.by_alias", lambda *_: None)
    monkeypatch.setattr("training.compare.last_promoted", lambda *_: None)
    monkeypatch.setattr("training.registry.promote", promote)
    assert retrain.main(["--rows", "1000", "--data-seed", "1", "--first"]) == 2
    shown = capsys.readouterr()
    assert "warning           gender is Male in every row" in shown.out
    assert "needs a person's decision, --acknowledge leak" in shown.err
    assert [outcome.verdict for outcome in pushed] == ["refused"]


def test_a_run_of_another_model_trains_by_its_contract_and_touches_that_model_alone(
    monkeypatch: pytest.MonkeyPatch, pushed: list[Outcome]
) -> None:
    from training.config import TrainConfig  # noqa: PLC0415 - takes seconds, which the other tests need not wait for
    from training.evaluate import Metric  # noqa: PLC0415 - likewise
    from training.result import TrainResult  # noqa: PLC0415 - likewise

    staged = TrainResult(
        version="1", run_id="r", model_type="logistic_regression", rows=1000, cross_validation=(), gates=(),
        staged=True, metrics={"auc": Metric(value=0.9, low=0.8, high=0.95)}, warnings=(), seconds={},
    )  # fmt: skip
    configs: list[TrainConfig] = []
    columns: list[str] = []
    asked: set[str] = set()

    def train(config: TrainConfig, **_: Any) -> TrainResult:
        configs.append(config)
        columns.extend(pq.read_schema(config.source).names)
        return staged

    def ask(_client: None, name: str, *_: str) -> None:
        asked.add(name)

    def promote(_url: str, name: str, *_: str, **__: str) -> SimpleNamespace:
        asked.add(name)
        return SimpleNamespace(to_version="1")

    monkeypatch.setattr("training.train.train", train)
    monkeypatch.setattr("training.mlflow_store.connect", lambda _uri: None)
    monkeypatch.setattr("training.mlflow_store.by_alias", ask)
    monkeypatch.setattr("training.compare.last_promoted", ask)
    monkeypatch.setattr("training.registry.promote", promote)
    groups: list[dict[str, str]] = []
    monkeypatch.setattr(retrain, "push", lambda *_, **labels: groups.append(labels))
    bank = ROOT / "contracts" / "bank.yaml"
    options = ["--rows", "1000", "--data-seed", "1", "--model-name", "bank-1", "--contract", str(bank), "--first"]
    assert retrain.main(options) == 0
    (config,) = configs
    assert (config.model_name, config.experiment, config.contract.name) == ("bank-1", "bank-1", "bank")
    assert "credit_score" in columns
    assert asked == {"bank-1"}
    assert (groups, pushed) == ([{"model": "bank-1"}], [])


def test_a_contract_that_does_not_fit_is_bad_input_and_names_its_lines(
    tmp_path: Path, pushed: list[Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    contract = tmp_path / "contract.yaml"
    contract.write_text("name: bank\nfeatures: 3\n")
    assert retrain.main(["--rows", "1000", "--contract", str(contract)]) == 2
    assert f"{contract}" in capsys.readouterr().err
    assert [outcome.verdict for outcome in pushed] == ["bad_input"]


def test_a_failed_run_pushes_its_verdict_and_leaves_the_last_success_alone() -> None:
    assert retrain.figures(Outcome(verdict="failed"), seconds=3, now=1000) == {
        "churn_training_last_run_timestamp_seconds": 1000,
        "churn_training_duration_seconds": 3,
        'churn_training_verdict{verdict="staged"}': 0,
        'churn_training_verdict{verdict="refused"}': 0,
        'churn_training_verdict{verdict="bad_input"}': 0,
        'churn_training_verdict{verdict="failed"}': 1,
    }


def test_a_staged_run_pushes_its_size_its_auc_and_the_time_of_success() -> None:
    from training.evaluate import Metric  # noqa: PLC0415 - takes seconds, which the other tests need not wait for
    from training.result import TrainResult  # noqa: PLC0415 - likewise

    staged = TrainResult(
        version="1", run_id="r", model_type="logistic_regression", rows=1000, cross_validation=(), gates=(),
        staged=True, metrics={"auc": Metric(value=0.9, low=0.8, high=0.95)}, warnings=(), seconds={},
    )  # fmt: skip
    values = retrain.figures(Outcome(verdict="staged", result=staged), seconds=3, now=1000)
    assert values['churn_training_verdict{verdict="staged"}'] == 1
    assert values["churn_training_last_success_timestamp_seconds"] == 1000
    assert (values["churn_training_rows"], values["churn_training_auc"]) == (1000, 0.9)
