"""A whole training run against a real MLflow server: what it registers, shows and refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from support.commands import churn
from support.contracts import small_bank, small_bank_customers, small_bank_snapshots
from support.telco import FEATURE_NAMES
from support.training_runs import GATES, aliases, config, stage_of

from app.contract import Contract
from app.schemas import telco
from training import addresses, mlflow_store, native, pipeline, registry
from training.data import DataError, encode_frame
from training.generate import generate
from training.registry import RegistryError
from training.result import TrainResult
from training.train import train
from training.truth import GeneratorConfig

pytestmark = pytest.mark.service
SELDOM = pytest.mark.long(seconds=15, together=__name__)

STAGES = ["load", "validate", "split", "choose", "fit", "score", "evaluate", "export", "gates", "report", "register"]


@pytest.fixture(scope="module")
def trained(customers_file: Path, mlflow_server: str) -> tuple[TrainResult, list[str]]:
    seen: list[str] = []
    result = train(
        config(customers_file, mlflow_server, "run", model="auto"), on_stage=lambda stage, _: seen.append(stage)
    )
    return result, seen


def customers(rows: int, seed: int) -> pd.DataFrame:
    frame = generate(GeneratorConfig(rows=rows, seed=seed)).customers
    total = frame["total_charges"].fillna(frame["tenure_months"] * frame["monthly_charges"])
    return frame[list(FEATURE_NAMES)].assign(total_charges=total)


def test_a_run_announces_its_stages_and_stages_the_version(
    trained: tuple[TrainResult, list[str]], mlflow_server: str
) -> None:
    result, seen = trained
    assert seen == STAGES
    assert list(result.seconds) == STAGES
    assert result.staged
    assert [gate.name for gate in result.gates] == GATES
    assert {v.model_type for v in result.cross_validation} == {"logistic_regression", "gradient_boosting"}
    assert result.model_type == result.cross_validation[0].model_type
    assert aliases(mlflow_server, "run") == {"staging": result.version}
    assert stage_of(mlflow_server, "run", result.version) == "Staging"


def test_a_run_keeps_figures_plots_card_and_origin(
    trained: tuple[TrainResult, list[str]], mlflow_server: str, tmp_path: Path
) -> None:
    client = MlflowClient(mlflow_server)
    run = client.get_run(trained[0].run_id)
    assert run.info.status == "FINISHED"
    assert {"auc", "uncertainty/auc_low", "lift_at_10", "cv_auc", "training_seconds/fit"} <= set(run.data.metrics)
    assert {"slice_auc/gender.female", "slice_churn_rate/contract.two_year"} <= set(run.data.metrics)
    rate = "slice_false_negative_rate/gender.female"
    assert run.data.metrics[f"{rate}_low"] < run.data.metrics[rate] < run.data.metrics[f"{rate}_high"]
    assert run.data.params["split"] == "random"
    assert "held_out_from" not in run.data.params
    assert run.data.params["model"] == "auto"
    assert run.data.params["cost.offer_cost"] == "40.0"
    assert len(run.data.tags["dataset_sha256"]) == 64
    assert "git_revision" in run.data.tags
    names = {f.path for f in client.list_artifacts(trained[0].run_id, "plots")}
    assert len(names) == 8
    card = download_artifacts(
        run_id=trained[0].run_id, artifact_path="model_card.md", dst_path=str(tmp_path), tracking_uri=mlflow_server
    )
    assert "## Threshold" in Path(card).read_text()


def test_a_run_says_on_its_page_what_was_trained_on_what(
    trained: tuple[TrainResult, list[str]], mlflow_server: str
) -> None:
    result = trained[0]
    run = MlflowClient(mlflow_server).get_run(result.run_id)
    assert run.info.run_name == f"{result.model_type} · customers.parquet · 3,000 rows"
    assert run.inputs is not None
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.name == "customers.parquet"
    assert run.data.tags["dataset_sha256"].startswith(used.dataset.digest)
    assert used.dataset.profile is not None
    assert json.loads(used.dataset.profile)["num_rows"] == 3000
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith(f"# Model card: run, {result.model_type.replace('_', ' ')}\n\nAUC ")
    (address,) = re.findall(r"!\[roc\]\((.+?)\)", note)
    assert "in `model_card.md` among the artifacts" in note, "MLflow would cut the whole card"
    assert "\n\n## Limits\n\n" in note
    answer = httpx.get(f"{mlflow_server}/{address}", trust_env=False)
    assert answer.content.startswith(b"\x89PNG")


def test_a_version_is_described_by_the_summary_of_its_card(
    trained: tuple[TrainResult, list[str]], mlflow_server: str
) -> None:
    result = trained[0]
    text = MlflowClient(mlflow_server).get_model_version("run", result.version).description
    assert text is not None
    assert text.startswith(f"AUC {result.metrics['auc'].value:.4f}, gates passed.")
    assert "3,000 rows" in text
    assert "## Gates" in text
    assert "## Threshold" not in text


def test_the_experiment_opens_as_model_training_with_the_figures_in_a_view(
    trained: tuple[TrainResult, list[str]], mlflow_server: str
) -> None:
    client = MlflowClient(mlflow_server)
    run = client.get_run(trained[0].run_id)
    experiment = client.get_experiment(run.info.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    view = json.loads(experiment.tags["mlflow.sharedViewState.figures"])
    columns = json.loads(view["state"])["selectedColumns"]
    assert "metrics.`auc`" in columns
    logged = {f"metrics.`{name}`" for name in run.data.metrics} | {f"tags.`{key}`" for key in run.data.tags}
    assert set(columns) - logged == {"attributes.`Dataset`"}
    assert addresses.runs_address(run.info.experiment_id) in experiment.tags["mlflow.note.content"]


@SELDOM
def test_what_a_person_changed_of_an_experiment_stays(customers_file: Path, mlflow_server: str) -> None:
    client = MlflowClient(mlflow_server)
    number = client.create_experiment("ours", tags={"mlflow.note.content": "our own words"})
    train(config(customers_file, mlflow_server, "ours", experiment="ours"))
    tags = client.get_experiment(number).tags
    assert tags["mlflow.note.content"] == "our own words"
    assert tags["mlflow.experimentKind"] == "custom_model_development"


def test_a_version_has_a_verified_bundle_that_agrees_with_the_native_model_on_10_000_customers(
    trained: tuple[TrainResult, list[str]], mlflow_server: str, tmp_path: Path
) -> None:
    result = trained[0]
    client = mlflow_store.connect(mlflow_server)
    version = mlflow_store.get_version(client, "run", result.version)
    served = mlflow_store.fetch_model(client, version)
    assert served.manifest.run_id == result.run_id
    location = client.get_model_version_download_uri("run", result.version)
    file = download_artifacts(
        artifact_uri=f"{location}/{native.FILE}", dst_path=str(tmp_path), tracking_uri=mlflow_server
    )
    model = native.load_native(Path(file), result.model_type, version.tags[native.DIGEST_TAG])
    frame = customers(10_000, seed=99)
    assert np.abs(served.score(encode_frame(telco(), frame, {})) - pipeline.predict(model, frame)).max() < 1e-6


def test_a_version_and_its_run_name_the_contract(trained: tuple[TrainResult, list[str]], mlflow_server: str) -> None:
    client = MlflowClient(mlflow_server)
    expected = {"contract": "telco", "contract_sha256": telco().sha256}
    tags, params = (
        client.get_model_version("run", trained[0].version).tags,
        client.get_run(trained[0].run_id).data.params,
    )
    assert {name: tags[name] for name in expected} == {name: params[name] for name in expected} == expected
    assert "schema_version" not in tags


def test_a_native_model_with_another_digest_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / native.FILE).write_bytes(b"not the registered one")
    with pytest.raises(native.NativeModelError, match="native_sha256"):
        native.load_native(tmp_path / native.FILE, "logistic_regression", "0" * 64)


def test_the_stored_holdout_has_no_ids(trained: tuple[TrainResult, list[str]], mlflow_server: str) -> None:
    client = mlflow_store.connect(mlflow_server)
    features, churned = mlflow_store.fetch_holdout(client, mlflow_store.get_version(client, "run", trained[0].version))
    assert features.shape == (len(churned), 19)
    assert len(churned) == pytest.approx(600, abs=2)
    assert 0.1 < churned.mean() < 0.5


def churn_train(monkeypatch: pytest.MonkeyPatch, model_name: str, data: Path, server: str) -> int:
    """Run ``churn train`` for a registered model of its own; returns the exit code."""
    options = ("--data", str(data), "--tracking-uri", server, "--model-name", model_name)
    return churn(monkeypatch, "train", *options)


def test_bad_data_trains_nothing_and_exits_2_with_every_violation(
    customers_file: Path,
    mlflow_server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    frame = pd.read_parquet(customers_file).astype({"contract": str})
    frame.loc[3, "contract"] = "Weekly"
    frame.loc[5, "monthly_charges"] = -1.0
    bad = tmp_path / "bad.csv"
    frame.to_csv(bad, index=False)
    assert churn_train(monkeypatch, "bad", bad, mlflow_server) == 2
    error = capsys.readouterr().err
    assert "Weekly" in error
    assert "monthly_charges" in error
    with pytest.raises(RegistryError, match="history of 'bad'"):
        registry.history(mlflow_server, "bad")


def test_too_few_customers_of_one_class_are_a_data_error(
    customers_file: Path, mlflow_server: str, tmp_path: Path
) -> None:
    pd.read_parquet(customers_file)[:60].to_parquet(tmp_path / "few.parquet", index=False)
    with pytest.raises(DataError, match="at least 50 customers who churned"):
        train(config(tmp_path / "few.parquet", mlflow_server, "few"))


@SELDOM
def test_the_command_shows_figures_and_stages_the_version(
    customers_file: Path, mlflow_server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert churn_train(monkeypatch, "cli", customers_file, mlflow_server) == 0
    out = capsys.readouterr().out
    assert "95 % interval" in out
    assert re.search(r"gate parity +passed", out)
    assert "Registered version 1" in out
    assert aliases(mlflow_server, "cli") == {"staging": "1"}


def test_an_option_that_cannot_be_exits_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data", "x.csv", "--tracking-uri", "http://127.0.0.1:1", "--offer-cost", "9999"]
    assert churn(monkeypatch, "train", *arguments) == 2
    assert "can never pay" in capsys.readouterr().err


def test_another_business_is_trained_promoted_and_scored(mlflow_server: str, tmp_path: Path) -> None:
    """From a file of the bank's customers to a promoted version, and a second one that is compared with it."""
    name, source = "bank", tmp_path / "bank.csv"
    small_bank_customers(2000, 4).to_csv(source, index=False)
    settings = config(source, mlflow_server, name).model_copy(update={"contract": small_bank()})
    first, second = (train(settings.model_copy(update={"seed": seed})) for seed in (1, 2))
    assert [gate.name for result in (first, second) for gate in result.gates if not gate.passed] == []
    assert first.staged
    registry.promote(mlflow_server, name, first.version)
    move = registry.promote(mlflow_server, name, second.version)
    assert (move.from_version, move.to_version) == (first.version, second.version)
    client = mlflow_store.connect(mlflow_server)
    version = mlflow_store.get_version(client, name, second.version)
    assert (version.tags["contract"], version.tags["contract_sha256"]) == ("small-bank", small_bank().sha256)
    model = mlflow_store.fetch_model(client, version)
    assert model.manifest.customers == small_bank()
    assert model.manifest.medians.keys() == {"balance"}


def test_a_split_by_time_and_the_limits_of_fairness_reach_the_version(mlflow_server: str, tmp_path: Path) -> None:
    """The bank's Germans churn more often, so they get more offers than the contract allows."""
    name, source = "bank-by-time", tmp_path / "bank.csv"
    small_bank_snapshots(6000, 8).to_csv(source, index=False)
    limits = {"slices": ("geography",), "demographic_parity_ratio_min": 0.8}
    contract = Contract.model_validate(small_bank().model_dump() | {"fairness": limits})
    result = train(config(source, mlflow_server, name, contract=contract, split="time"))
    assert [gate.name for gate in result.gates] == [*GATES[:-1], "fairness", "regression"]
    assert [gate.name for gate in result.gates if not gate.passed] == ["fairness"]
    assert not result.staged
    run = MlflowClient(mlflow_server).get_run(result.run_id)
    assert (run.data.params["split"], run.data.params["held_out_from"]) == ("time", "2026-07-01")
    assert run.data.tags["gate.fairness"].startswith("refused: geography: demographic parity ratio 0.")
    offers = {
        name: run.data.metrics[f"slice_selection_rate/geography.{name}"] for name in ("france", "germany", "spain")
    }
    assert max(offers, key=lambda name: offers[name]) == "germany"
    client = mlflow_store.connect(mlflow_server)
    version = mlflow_store.get_version(client, name, result.version)
    with pytest.raises(RegistryError, match="fairness"):
        registry.promote(mlflow_server, name, result.version)
    manifest = mlflow_store.fetch_model(client, version, verdict_required=False).manifest
    assert manifest.customers == contract
    assert [gate.name for gate in manifest.refusals] == ["fairness"]
