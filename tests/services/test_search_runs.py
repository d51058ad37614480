"""Searches and classifiers of one's own against a real MLflow server: nested runs, the card, and what is left."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from support.training_runs import aliases, config

from training import native
from training.config import BuiltIn
from training.estimators import KINDS
from training.result import TrainResult
from training.train import train

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def searched(customers_file: Path, mlflow_server: str) -> tuple[TrainResult, list[tuple[str, str]]]:
    seen: list[tuple[str, str]] = []
    settings = config(customers_file, mlflow_server, "searched", experiment="searched", search=3, cv_folds=2)
    return train(settings, on_stage=lambda stage, line: seen.append((stage, line))), seen


def test_each_trial_is_a_finished_run_below_the_training(
    searched: tuple[TrainResult, list[tuple[str, str]]], mlflow_server: str
) -> None:
    result, _ = searched
    client = MlflowClient(mlflow_server)
    experiment = client.get_run(result.run_id).info.experiment_id
    below = [
        run
        for run in client.search_runs([experiment])
        if run.data.tags.get("mlflow.parentRunId") == result.run_id and run.info.status == "FINISHED"
    ]
    assert sorted(str(run.info.run_name) for run in below) == [f"trial {i} · logistic_regression" for i in (1, 2, 3)]
    assert result.trials == 3
    assert all(0.5 < run.data.metrics["cv_auc"] < 1 for run in below)
    assert len({run.data.params["C"] for run in below}) == 3
    assert max(run.data.metrics["cv_auc"] for run in below) == pytest.approx(result.cross_validation[0].mean)


def test_the_best_hyper_parameters_are_in_result_run_and_card(
    searched: tuple[TrainResult, list[tuple[str, str]]], mlflow_server: str, tmp_path: Path
) -> None:
    result, _ = searched
    params = result.cross_validation[0].params
    assert params.keys() == KINDS["logistic_regression"].space.keys()
    run = MlflowClient(mlflow_server).get_run(result.run_id)
    assert float(run.data.params["hyperparameter.C"]) == params["C"]
    assert run.data.params["search"] == "3"
    card = download_artifacts(
        run_id=result.run_id, artifact_path="model_card.md", dst_path=str(tmp_path), tracking_uri=mlflow_server
    )
    words = f"Hyper-parameters, the best of 3 trials on the training part: `C` {params['C']:.6g}."
    assert words in Path(card).read_text(encoding="utf-8")


def test_the_search_is_one_stage_with_a_line_for_each_trial(
    searched: tuple[TrainResult, list[tuple[str, str]]],
) -> None:
    result, seen = searched
    lines = [line for stage, line in seen if stage == "search"]
    assert [line.split(", best")[0] for line in lines] == [f"logistic_regression, trial {i} of 3" for i in (1, 2, 3)]
    assert "choose" not in result.seconds
    assert result.seconds["search"] > 0


def test_an_interrupted_search_leaves_nothing_behind(customers_file: Path, mlflow_server: str) -> None:
    def interrupt(stage: str, line: str) -> None:
        if stage == "search" and "trial 2" in line:
            raise KeyboardInterrupt

    settings = config(customers_file, mlflow_server, "interrupted", experiment="interrupted", search=5, cv_folds=2)
    with pytest.raises(KeyboardInterrupt):
        train(settings, on_stage=interrupt)
    client = MlflowClient(mlflow_server)
    assert client.get_experiment_by_name("interrupted") is None
    assert client.search_registered_models("name = 'interrupted'") == []


@pytest.mark.parametrize(
    "model", ["xgboost", pytest.param("lightgbm", marks=pytest.mark.long(seconds=8, together=__name__))]
)
def test_a_boosted_version_is_staged_and_its_native_file_loads(
    model: BuiltIn, customers_file: Path, mlflow_server: str, tmp_path: Path
) -> None:
    result = train(config(customers_file, mlflow_server, model, model=model, cv_folds=2))
    assert result.staged
    assert aliases(mlflow_server, model) == {"staging": result.version}
    client = MlflowClient(mlflow_server)
    version = client.get_model_version(model, result.version)
    uri = client.get_model_version_download_uri(model, result.version)
    file = download_artifacts(f"{uri}/{native.FILE}", dst_path=str(tmp_path), tracking_uri=mlflow_server)
    assert native.load_native(Path(file), model, version.tags[native.DIGEST_TAG])
    needed = download_artifacts(f"{uri}/requirements.txt", dst_path=str(tmp_path), tracking_uri=mlflow_server)
    assert any(line.startswith(model) and "==" in line for line in Path(needed).read_text().splitlines())


def test_a_classifier_of_ones_own_is_registered_under_its_path(
    customers_file: Path, mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "woods.py").write_text(
        "from sklearn.ensemble import RandomForestClassifier\n"
        "def forest(seed):\n    return RandomForestClassifier(40, min_samples_leaf=5, random_state=seed)\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    result = train(config(customers_file, mlflow_server, "woods", estimator="woods:forest", cv_folds=2))
    assert result.staged, [str(gate) for gate in result.gates]
    assert result.model_type == "custom"
    run = MlflowClient(mlflow_server).get_run(result.run_id)
    assert run.data.params["estimator"] == "woods:forest"
    assert "The classifier is that of `woods:forest`." in run.data.tags["mlflow.note.content"]
