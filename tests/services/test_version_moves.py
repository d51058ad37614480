"""Moves of versions on a real MLflow server: promotion, rollback, and what the registry refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.pipeline import Pipeline
from support.training_runs import GATES, aliases, config, stage_of

from app.bundle import GOLDEN
from app.contract import Contract
from training import descriptions, pipeline, registry
from training.config import BuiltIn
from training.pipeline import Labels
from training.registry import GateRefusedError, RegistryError
from training.train import train

pytestmark = pytest.mark.service
SELDOM = pytest.mark.long(seconds=60, together=__name__)


def test_promote_rollback_and_history(customers_file: Path, mlflow_server: str) -> None:
    name = "promotions"
    first = train(config(customers_file, mlflow_server, name)).version
    promoted = registry.promote(mlflow_server, name, actor="ann", reason="first one")
    assert (promoted.from_version, promoted.to_version) == (None, first)
    assert aliases(mlflow_server, name) == {"production": first}
    assert stage_of(mlflow_server, name, first) == "Production"
    with pytest.raises(RegistryError, match="no earlier production version"):
        registry.rollback(mlflow_server, name)

    second = train(config(customers_file, mlflow_server, name, model="gradient_boosting", gates={"auc_loss_max": 0.1}))
    assert "version 1 in production" in second.gates[-1].detail
    limits = config(customers_file, mlflow_server, name, gates={"auc_loss_max": 0.1}).gates
    registry.promote(mlflow_server, name, second.version, actor="bob", limits=limits)
    assert aliases(mlflow_server, name) == {"production": second.version, "previous": first}
    assert stage_of(mlflow_server, name, first) == "Archived"
    with pytest.raises(RegistryError, match="is in production already"):
        registry.promote(mlflow_server, name, second.version)
    with pytest.raises(RegistryError, match="alias 'staging'"):
        registry.promote(mlflow_server, name)

    registry.rollback(mlflow_server, name, actor="eve", reason="complaints")
    assert aliases(mlflow_server, name) == {"production": first, "previous": second.version}
    assert stage_of(mlflow_server, name, first) == "Production"
    assert stage_of(mlflow_server, name, second.version) == "Archived"

    moves = registry.history(mlflow_server, name)
    assert [(m.action, m.alias, m.from_version, m.to_version) for m in moves] == [
        ("stage", "staging", None, first),
        ("promote", "production", None, first),
        ("stage", "staging", None, second.version),
        ("promote", "production", first, second.version),
        ("rollback", "production", second.version, first),
    ]
    assert [m.actor for m in moves if m.alias == "production"] == ["ann", "bob", "eve"]
    assert moves[-1].reason == "complaints"
    assert moves[3].run_id == second.run_id
    assert [gate.name for gate in moves[3].gates] == [*GATES, "contract"]
    assert 0.7 < moves[3].metrics["auc"] < 0.9
    assert all(m.at.utcoffset() is not None for m in moves)

    client = MlflowClient(mlflow_server)
    descriptions.describe(client, name)
    model = client.get_registered_model(name)
    assert [key for key in model.tags if not key.startswith("mlflow.")] == []
    text = str(model.description).replace("&emsp;", "")
    assert f"| `production` | [{first}](#/models/{name}/versions/{first}) |" in text
    assert "| eve | rollback | `production` |" in text
    assert "| complaints |" in text


@SELDOM
def test_a_leak_is_registered_but_refused(customers_file: Path, mlflow_server: str, tmp_path: Path) -> None:
    frame = pd.read_parquet(customers_file)
    frame["total_charges"] = np.where(frame["churned"] == 1, 9000.0, 10.0)
    leaky = tmp_path / "leaky.parquet"
    frame.to_parquet(leaky, index=False)
    result = train(config(leaky, mlflow_server, "leaky"))
    assert not result.staged
    (refused,) = [gate for gate in result.gates if not gate.passed]
    assert refused.name == "leak"
    assert aliases(mlflow_server, "leaky") == {}
    tags = MlflowClient(mlflow_server).get_model_version("leaky", result.version).tags
    assert tags["gate"] == "refused"
    run = MlflowClient(mlflow_server).get_run(result.run_id)
    assert run.data.tags["gate.leak"].startswith("refused: AUC")
    with pytest.raises(GateRefusedError, match=r"refused by gate leak: AUC 1\.0000"):
        registry.promote(mlflow_server, "leaky", result.version)
    assert registry.history(mlflow_server, "leaky") == []


@SELDOM
def test_a_version_worse_than_production_is_refused(
    customers_file: Path, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "worse"
    good = train(config(customers_file, mlflow_server, name)).version
    registry.promote(mlflow_server, name)
    fit = pipeline.fit

    def fit_on_shuffled_labels(
        model_type: BuiltIn,
        contract: Contract,
        frame: pd.DataFrame,
        churned: Labels,
        *,
        seed: int,
        calibration_folds: int,
    ) -> Pipeline:
        shuffled = np.random.default_rng(0).permutation(churned)
        return fit(model_type, contract, frame, shuffled, seed=seed, calibration_folds=calibration_folds)

    monkeypatch.setattr(pipeline, "fit", fit_on_shuffled_labels)
    bad = train(config(customers_file, mlflow_server, name))
    assert not bad.staged
    refused = {gate.name: gate.detail for gate in bad.gates if not gate.passed}
    assert set(refused) == {"skill", "regression"}
    assert "AUC worse by" in refused["regression"]
    assert "contradict each other" in refused["skill"]
    assert aliases(mlflow_server, name) == {"production": good}


@SELDOM
def test_promotion_compares_with_what_is_in_production_by_then(customers_file: Path, mlflow_server: str) -> None:
    """Two versions pass against nothing; once one is in production, the other has to hold against it."""
    name = "race"
    boosted = train(config(customers_file, mlflow_server, name, model="gradient_boosting")).version
    logistic = train(config(customers_file, mlflow_server, name)).version
    registry.promote(mlflow_server, name, logistic)
    exact = {"auc_loss_max": 0, "brier_loss_max": 0, "regression_standard_errors": 0}
    strict = config(customers_file, mlflow_server, name, gates=exact).gates
    with pytest.raises(GateRefusedError, match=f"version {boosted} is refused by gate regression"):
        registry.promote(mlflow_server, name, boosted, limits=strict)
    assert aliases(mlflow_server, name)["production"] == logistic


@SELDOM
def test_a_changed_artifact_is_not_promoted(customers_file: Path, mlflow_server: str, tmp_path: Path) -> None:
    version = train(config(customers_file, mlflow_server, "changed")).version
    client = MlflowClient(mlflow_server)
    (tmp_path / GOLDEN).write_text('{"rows": []}')
    source = client.get_model_version("changed", version).source
    assert source is not None
    model_id = source.removeprefix("models:/")
    client.log_model_artifacts(model_id, str(tmp_path), "serving")
    with pytest.raises(RegistryError, match=r"must not be served: golden\.json"):
        registry.promote(mlflow_server, "changed", version)
    assert "production" not in aliases(mlflow_server, "changed")


def test_errors_name_the_value_and_the_remedy(mlflow_server: str) -> None:
    with pytest.raises(RegistryError, match="'nobody' has no version '7'"):
        registry.promote(mlflow_server, "nobody", "7")
    with pytest.raises(RegistryError, match="no version of 'nobody' has the alias 'staging'"):
        registry.promote(mlflow_server, "nobody")
    with pytest.raises(RegistryError, match="history of 'nobody'"):
        registry.history(mlflow_server, "nobody")


def test_a_server_that_is_down_is_named() -> None:
    with pytest.raises(RegistryError, match=r"no MLflow server answers at http://127\.0\.0\.1:1 "):
        registry.history("http://127.0.0.1:1", "churn")
