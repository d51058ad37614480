"""Two models of one MLflow from the command line: each has its versions, aliases and history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from support.commands import churn
from support.paths import ROOT
from support.registered import Registered
from support.servers import Mlflow
from support.training_runs import aliases

from app.names import MODEL_NAME
from training import contract_rows
from training.contract_file import read
from training.generate import write
from training.truth import GeneratorConfig

pytestmark = [pytest.mark.service, pytest.mark.long(seconds=40, together=__name__)]

CONTRACT = ROOT / "contracts" / "bank.yaml"


@dataclass(frozen=True, kw_only=True)
class World:
    """A server with the model `churn`, of which a version is in production, and `bank`, trained and promoted here."""

    url: str
    customers: Path


@pytest.fixture(scope="module")
def world(bundles: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("names")
    customers = folder / "bank.csv"
    contract_rows.write(read(CONTRACT), contract_rows.RowsConfig(rows=2000, seed=3), str(customers))
    with Mlflow(folder) as server, pytest.MonkeyPatch.context() as patch:
        usual = Registered(server.url, MODEL_NAME)
        usual.point(usual.publish(bundles[0]))
        train = ("train", "--data", str(customers), "--contract", str(CONTRACT), "--model-name", "bank")
        assert churn(patch, *train, "--promote", "--tracking-uri", server.url) == 0
        yield World(url=server.url, customers=customers)


def test_a_named_model_is_trained_and_promoted_and_the_usual_one_stays(world: World) -> None:
    assert aliases(world.url, "bank") == {"production": "1"}
    assert aliases(world.url, MODEL_NAME) == {"production": "1"}
    client = MlflowClient(world.url, registry_uri=world.url)
    assert len(client.search_model_versions(f"name='{MODEL_NAME}'")) == 1
    run = client.get_run(str(client.get_model_version("bank", "1").run_id))
    assert client.get_experiment(run.info.experiment_id).name == "bank"


def test_each_history_has_the_moves_of_its_model_alone(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert churn(monkeypatch, "history", "--model-name", "bank", "--tracking-uri", world.url, "--json") == 0
    moves = json.loads(capsys.readouterr().out)
    assert [(move["action"], move["to_version"]) for move in moves] == [("stage", "1"), ("promote", "1")]
    assert churn(monkeypatch, "history", "--tracking-uri", world.url, "--json") == 0
    assert not [move for move in json.loads(capsys.readouterr().out) if move["action"] == "stage"]


def test_customers_are_scored_with_the_model_that_is_named(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores.parquet"
    command = ("score", str(world.customers), str(out), "--tracking-uri", world.url)
    assert churn(monkeypatch, *command, "--model-name", "bank") == 0
    assert set(pd.read_parquet(out)["model_name"]) == {"bank"}
    write(GeneratorConfig(rows=50), tmp_path / "telco.csv")
    telco = ("score", str(tmp_path / "telco.csv"), str(tmp_path / "telco.parquet"), "--tracking-uri", world.url)
    assert churn(monkeypatch, *telco) == 0
    capsys.readouterr()
    assert churn(monkeypatch, *command, "--force") == 2, "the usual model has another contract"


@pytest.mark.parametrize(
    "command",
    [("promote",), ("promote", "--version", "1"), ("rollback",), ("history",), ("score", "IN", "OUT")],
    ids="-".join,
)
def test_a_model_that_is_not_registered_is_answered_with_those_that_are(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
) -> None:
    places = {"IN": str(world.customers), "OUT": str(tmp_path / "out.csv")}
    arguments = [places.get(part, part) for part in command]
    assert churn(monkeypatch, *arguments, "--model-name", "banc", "--tracking-uri", world.url) == 2
    assert (
        "'banc' is no model in MLflow, which has 'bank', 'churn': name one of them with --model-name, or train"
        in " ".join(capsys.readouterr().err.split())
    )
    names = {model.name for model in MlflowClient(world.url, registry_uri=world.url).search_registered_models()}
    assert names == {"bank", MODEL_NAME}


def test_a_promotion_and_a_rollback_move_the_named_model_alone(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ("--model-name", "bank", "--tracking-uri", world.url)
    train = ("train", "--data", str(world.customers), "--contract", str(CONTRACT), "--seed", "8")
    assert churn(monkeypatch, *train, *named) == 0
    assert churn(monkeypatch, "promote", *named) == 0
    assert aliases(world.url, "bank") == {"production": "2", "previous": "1"}
    assert churn(monkeypatch, "rollback", *named) == 0
    assert "Version 1 is now 'production'" in capsys.readouterr().out
    assert aliases(world.url, "bank") == {"production": "1", "previous": "2"}
    assert aliases(world.url, MODEL_NAME) == {"production": "1"}


def test_a_name_that_no_model_can_have_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert churn(monkeypatch, "promote", "--model-name", "a/b") == 2
    assert "'a/b' is no name of a model: up to 63 letters" in " ".join(capsys.readouterr().err.split())
