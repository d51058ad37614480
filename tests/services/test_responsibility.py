"""Who may put what into production, against a real MLflow: refusals, overrides, questions, and moves by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from app.bundle import ARTIFACT_FOLDER, OVERRIDE, OVERRIDE_TAG, Override
from training import mlflow_store, registry
from training.config import TrainConfig
from training.generate import write
from training.mlflow_store import RefusedVersionError
from training.registry import GateRefusedError, RegistryError, Responsibility
from training.train import train
from training.truth import GeneratorConfig

pytestmark = pytest.mark.service
SELDOM = pytest.mark.long(seconds=40, together=__name__)

REASON = "the auditor wants to see it answer"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An honest file, one whose labels are random, and one with a feature that knows the label."""
    folder = tmp_path_factory.mktemp("files")
    write(GeneratorConfig(rows=1500, seed=5), folder / "honest.parquet")
    frame = pd.read_parquet(folder / "honest.parquet")
    rng = np.random.default_rng(1)
    frame.assign(churned=rng.permutation(frame["churned"])).to_parquet(folder / "noise.parquet", index=False)
    leak = np.where(frame["churned"] == 1, 9000.0, 10.0)
    frame.assign(total_charges=leak).to_parquet(folder / "leak.parquet", index=False)
    follows = np.where(rng.random(len(frame)) < 0.8, frame["churned"], rng.integers(0, 2, len(frame)))
    near = np.where(follows == 1, 9000.0, 10.0)
    frame.assign(total_charges=near).to_parquet(folder / "near.parquet", index=False)
    return {path.stem: path for path in folder.glob("*.parquet")}


def config(source: Path, server: str, name: str) -> TrainConfig:
    return TrainConfig(source=str(source), tracking_uri=server, model_name=name, bootstrap_count=100)


@pytest.fixture(scope="module")
def world(files: dict[str, Path], mlflow_server: str) -> tuple[str, str]:
    """A model whose version 1 is honest and in production, 2 learnt noise, 3 a leak; 4 is honest too."""
    name = "responsible"
    for kind in ("honest", "noise", "leak", "honest"):
        train(config(files[kind], mlflow_server, name))
        if kind == "honest" and "production" not in aliases(mlflow_server, name):
            registry.promote(mlflow_server, name, "1", actor="ann")
    return mlflow_server, name


def aliases(server: str, name: str) -> dict[str, str]:
    return {k: str(v) for k, v in MlflowClient(server).get_registered_model(name).aliases.items()}


def put_back(server: str, name: str) -> None:
    """Version 1 in production, nothing before it, as the fixture left it."""
    client = MlflowClient(server)
    client.set_registered_model_alias(name, "production", "1")
    if "previous" in aliases(server, name):
        client.delete_registered_model_alias(name, "previous")


def test_random_labels_are_refused_before_and_beside_a_good_version(world: tuple[str, str]) -> None:
    server, name = world
    with pytest.raises(GateRefusedError, match="skill") as refused:
        registry.promote(server, name, "2")
    names = {gate.name for gate in refused.value.results if not gate.passed}
    assert {"skill", "regression"} <= names
    assert aliases(server, name)["production"] == "1"


def test_an_edited_tag_does_not_make_a_refused_version_pass(world: tuple[str, str]) -> None:
    server, name = world
    client = MlflowClient(server)
    for key, value in {"gate": "passed", "gate.leak": "passed: nothing to see", "stage": "Production"}.items():
        client.set_model_version_tag(name, "3", key, value)
    with pytest.raises(GateRefusedError, match="leak"):
        registry.promote(server, name, "3")


def test_a_move_by_hand_is_noticed_and_undone_by_a_rollback(world: tuple[str, str]) -> None:
    server, name = world
    put_back(server, name)
    MlflowClient(server).set_registered_model_alias(name, "production", "3")
    last = registry.history(server, name)[-1]
    assert (last.action, last.from_version, last.to_version, last.actor) == ("by hand", "1", "3", "unknown")
    move = registry.rollback(server, name, actor="bob")
    assert (move.action, move.to_version) == ("rollback", "1")
    assert aliases(server, name)["production"] == "1"
    assert aliases(server, name).get("previous") != "3"
    moves = registry.history(server, name)
    assert [m.action for m in moves[-2:]] == ["by hand", "rollback"]


def test_a_refused_version_never_becomes_previous_and_is_no_measure_for_the_next(world: tuple[str, str]) -> None:
    """The leak has an AUC of 1: beside it no honest version would pass, and a rollback would bring it back."""
    server, name = world
    put_back(server, name)
    MlflowClient(server).set_registered_model_alias(name, "production", "3")
    move = registry.promote(server, name, "4", actor="eve")
    regression = next(gate for gate in move.gates if gate.name == "regression")
    assert "version 1 in production" in regression.detail
    assert aliases(server, name) | {"staging": ""} == {"production": "4", "previous": "1", "staging": ""}
    assert registry.rollback(server, name).to_version == "1"


def test_a_rollback_does_not_go_to_a_version_that_must_not_be_served(world: tuple[str, str]) -> None:
    server, name = world
    put_back(server, name)
    registry.promote(server, name, "4")
    MlflowClient(server).set_registered_model_alias(name, "previous", "3")
    with pytest.raises(RefusedVersionError, match="version 3 must not be served: its gates refused it: leak"):
        registry.rollback(server, name)
    assert aliases(server, name)["production"] == "4"
    MlflowClient(server).set_registered_model_alias(name, "previous", "1")
    registry.rollback(server, name)


def test_an_override_serves_it_with_a_reason_in_the_ledger(world: tuple[str, str], tmp_path: Path) -> None:
    server, name = world
    put_back(server, name)
    move = registry.promote(server, name, "3", actor="ann", responsibility=Responsibility(override=REASON))
    assert (move.override, move.actor) == (REASON, "ann")
    assert registry.history(server, name)[-1].override == REASON
    client = mlflow_store.connect(server)
    version = mlflow_store.get_version(client, name, "3")
    served = mlflow_store.fetch_model(client, version)  # as serving loads it
    location = client.get_model_version_download_uri(name, "3")
    file = download_artifacts(
        artifact_uri=f"{location}/{ARTIFACT_FOLDER}/{OVERRIDE}", dst_path=str(tmp_path), tracking_uri=server
    )
    override = Override.model_validate_json(Path(file).read_bytes())
    assert override.manifest_sha256 == served.fingerprint.hex()
    assert "leak" in override.gates
    client.delete_model_version_tag(name, "3", OVERRIDE_TAG)
    with pytest.raises(RefusedVersionError):
        mlflow_store.fetch_model(client, mlflow_store.get_version(client, name, "3"))
    put_back(server, name)


def test_nothing_is_overridden_where_nothing_was_refused(world: tuple[str, str]) -> None:
    server, name = world
    with pytest.raises(RegistryError, match="version 4 passed every gate: promote it without --override"):
        registry.promote(server, name, "4", responsibility=Responsibility(override=REASON))
    with pytest.raises(RegistryError, match="--acknowledge leak: no gate of version 4 asks for that"):
        registry.promote(server, name, "4", responsibility=Responsibility(acknowledged=("leak",)))


@SELDOM
def test_a_near_leak_is_promoted_once_somebody_has_acknowledged_it(files: dict[str, Path], mlflow_server: str) -> None:
    name = "near"
    result = train(config(files["near"], mlflow_server, name))
    assert result.staged
    with pytest.raises(RegistryError, match="needs a person's decision, --acknowledge leak, because of gate leak"):
        registry.promote(mlflow_server, name)
    move = registry.promote(mlflow_server, name, responsibility=Responsibility(acknowledged=("leak",)))
    assert move.acknowledged == ["--acknowledge leak"]
    assert registry.history(mlflow_server, name)[-1].acknowledged == ["--acknowledge leak"]


@SELDOM
@pytest.mark.parametrize(("kind", "words"), [("schema", "another customer schema"), ("foreign", "not made by")])
def test_production_that_cannot_be_compared_with_asks_a_person(
    files: dict[str, Path], mlflow_server: str, kind: str, words: str
) -> None:
    name = f"cannot-compare-{kind}"
    client = MlflowClient(mlflow_server)
    if kind == "schema":
        train(config(files["honest"], mlflow_server, name))
        registry.promote(mlflow_server, name)
        client.set_model_version_tag(name, "1", "schema_version", "0")
    else:
        client.create_registered_model(name)
        logged = client.create_logged_model(client.create_experiment(name), name=name)
        client.create_model_version(name, source=f"models:/{logged.model_id}", model_id=logged.model_id)
        client.set_registered_model_alias(name, "production", "1")
    result = train(config(files["honest"], mlflow_server, name))
    assert result.staged
    with pytest.raises(RegistryError, match=f"--replace-schema, because of gate regression: version 1 .* {words}"):
        registry.promote(mlflow_server, name)
    move = registry.promote(mlflow_server, name, responsibility=Responsibility(replace_schema=True))
    assert move.acknowledged == ["--replace-schema"]


@SELDOM
def test_warnings_about_the_data_are_in_the_result_and_the_card(files: dict[str, Path], mlflow_server: str) -> None:
    frame = pd.read_parquet(files["honest"])
    odd = files["honest"].with_name("odd.parquet")
    frame["online_security"] = frame["online_security"].astype(str)
    frame.loc[frame["internet_service"] == "No", "online_security"] = "Yes"
    frame.to_parquet(odd, index=False)
    result = train(config(odd, mlflow_server, "odd"))
    assert result.staged
    assert any(w.startswith("online_security contradicts internet_service") for w in result.warnings)
    note = MlflowClient(mlflow_server).get_run(result.run_id).data.tags["mlflow.note.content"]
    assert "online_security contradicts internet_service" in note
