"""Models from elsewhere before they are registered: what their files bring along, and how the gates judge them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from support import foreign_models as models

from app.bundle import GateResult
from app.contract import Contract
from training import foreign_probe, foreign_stages, native
from training.candidate import Run
from training.config import RegisterConfig
from training.foreign_error import ForeignModelError
from training.foreign_golden import ParityError
from training.judge import judge


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves the process of its own, since these graphs are honest, and the registry."""
    monkeypatch.setattr(foreign_probe, "probe", lambda *_: None)
    monkeypatch.setattr("training.foreign_stages.connect", lambda _: None)


@pytest.fixture(scope="module")
def graph(bank: models.Elsewhere) -> tuple[Path, Path]:
    """A linear model as ONNX with its golden rows."""
    model = models.linear(bank)
    path = bank.folder / "linear.onnx"
    onnx.save_model(models.linear_graph(bank, model), path)
    return path, bank.write_golden(bank.folder / "linear.csv", models.churn(model, bank.coded(bank.holdout)))


def without_median(contract: Contract, value: float) -> Contract:
    """The same contract with a constant for each blank."""
    document = contract.model_dump(mode="json")
    for feature in document["features"]:
        if feature["blank"] == "median":
            feature["blank"] = {"constant": value}
    return Contract.model_validate_json(json.dumps(document))


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """What would be evaluated, judged and registered."""
    runs: list[Run] = []
    monkeypatch.setattr("training.foreign_stages.stages.publish", lambda run, _: runs.append(run))
    return runs


def run(bank: models.Elsewhere, **changes: Any) -> None:
    fields = {"source": str(bank.holdout), "contract": bank.contract, "tracking_uri": "sqlite:///unused.db"}
    foreign_stages.run(RegisterConfig.model_validate(fields | changes), lambda *_: None)


def verdicts(run: Run) -> dict[str, GateResult]:
    return {gate.name: gate for gate in judge(run.config, run.data, run.fitted, run.fitted.scores)}


def test_the_holdout_is_all_of_the_data_and_the_medians_are_the_training_rows(
    bank: models.Elsewhere, graph: tuple[Path, Path], published: list[Run]
) -> None:
    run(bank, model_file=graph[0], golden=graph[1], train_source=str(bank.train))
    (it,) = published
    assert it.fitted.split.train.tolist() == list(range(1500))
    assert it.fitted.split.test.tolist() == list(range(1500, 3000))
    assert it.holdout_labels.tolist() == bank.labels(bank.holdout).tolist()
    assert it.fitted.medians == pytest.approx(bank.medians)
    assert np.abs(it.holdout_features - bank.coded(bank.holdout)).max() == 0
    assert it.data.sha256 == hashlib.sha256(bank.holdout.read_bytes()).hexdigest()
    gates = verdicts(it)
    assert [name for name, gate in gates.items() if not gate.passed] == []
    assert "twin in the training part" in gates["duplicates"].detail


def test_without_the_training_rows_the_gates_say_what_they_cannot_know(
    bank: models.Elsewhere, graph: tuple[Path, Path], published: list[Run]
) -> None:
    contract = without_median(bank.contract, bank.medians["estimated_salary"])
    run(bank, model_file=graph[0], golden=graph[1], contract=contract)
    (it,) = published
    assert len(it.fitted.split.train) == 0
    assert len(it.fitted.split.test) == 1500
    gates = verdicts(it)
    assert list(gates) == ["parity", "skill", "duplicates", "leak", "calibration"]
    assert [name for name, gate in gates.items() if not gate.passed] == []
    assert "no cross-validation: it was trained elsewhere" in gates["skill"].detail
    assert "cannot be checked: the training rows are not known (--train-data names them)" in gates["duplicates"].detail
    assert gates["duplicates"].value is None


def test_a_feature_that_gives_the_label_away_is_recognised_without_training_rows(
    bank: models.Elsewhere, graph: tuple[Path, Path], published: list[Run], tmp_path: Path
) -> None:
    table = pd.read_csv(bank.holdout)
    balance = table["churned"].to_numpy(dtype=np.int64) * 1000 + np.arange(len(table)) % 7
    table.assign(balance=balance).to_csv(tmp_path / "leak.csv", index=False)
    contract = without_median(bank.contract, bank.medians["estimated_salary"])
    run(bank, model_file=graph[0], golden=graph[1], contract=contract, source=str(tmp_path / "leak.csv"))
    leak = verdicts(published[0])["leak"]
    assert not leak.passed
    assert "balance (AUC 1.000) alone nearly decides the label" in leak.detail


def test_copies_of_training_rows_in_the_holdout_are_refused_and_shared_ids_are_named(
    bank: models.Elsewhere, graph: tuple[Path, Path], published: list[Run], tmp_path: Path
) -> None:
    run(bank, model_file=graph[0], golden=graph[1], source=str(bank.train), train_source=str(bank.train))
    (it,) = published
    assert not verdicts(it)["duplicates"].passed
    assert any("1,500 of 1,500 rows are about customers whom the model was trained with" in n for n in it.data.notes)
    without = pd.read_csv(bank.holdout).drop(columns="customer_id")
    without.to_csv(tmp_path / "nameless.csv", index=False)
    run(bank, model_file=graph[0], golden=graph[1], source=str(tmp_path / "nameless.csv"), train_source=str(bank.train))
    assert not [note for note in published[1].data.notes if "trained with" in note]
    assert verdicts(published[1])["duplicates"].passed


def test_a_single_wrong_golden_row_ends_it_before_anything_is_registered(
    bank: models.Elsewhere, graph: tuple[Path, Path], published: list[Run], tmp_path: Path
) -> None:
    rows = pd.read_csv(graph[1])
    scores = rows["score"].to_numpy(dtype=np.float64) + 2e-5 * (np.arange(len(rows)) == 11)
    rows.assign(score=scores).to_csv(tmp_path / "wrong.csv", index=False)
    with pytest.raises(ParityError, match=r"row 11: .* golden .*; limit 1e-05\. Compare the order of the features"):
        run(bank, model_file=graph[0], golden=tmp_path / "wrong.csv", train_source=str(bank.train))
    assert published == []


def test_another_order_of_the_features_is_noticed_by_the_golden_rows(
    bank: models.Elsewhere, graph: tuple[Path, Path], published: list[Run]
) -> None:
    features = list(bank.contract.features)
    at = [f.name for f in features].index("age")
    features[at], features[at + 1] = features[at + 1], features[at]
    swapped = bank.contract.model_copy(update={"features": tuple(features)})
    with pytest.raises(ParityError):
        run(bank, model_file=graph[0], golden=graph[1], contract=swapped, train_source=str(bank.train))
    assert published == []


def test_options_that_do_not_belong_to_a_file_are_refused(bank: models.Elsewhere, graph: tuple[Path, Path]) -> None:
    with pytest.raises(ForeignModelError, match=r"linear\.csv is not needed: .*leave out --golden"):
        run(bank, model_file=Path("model.skops"), golden=graph[1])
    with pytest.raises(ForeignModelError, match=r"no types that could be trusted: leave out --trust"):
        run(bank, model_file=graph[0], golden=graph[1], trusted_types=("os.system",))


def test_a_pipeline_that_cannot_score_the_contract_s_customers_is_refused(bank: models.Elsewhere) -> None:
    model = make_pipeline(LogisticRegression())
    model.fit(bank.raw(bank.train)[["balance", "age"]], bank.labels(bank.train))
    path = bank.folder / "two.skops"
    skops.io.dump(model, path)
    with pytest.raises(ForeignModelError, match=r"two\.skops cannot score customers of contract 'bank'"):
        run(bank, model_file=path, train_source=str(bank.train))


def test_margins_are_no_probabilities(bank: models.Elsewhere, graph: tuple[Path, Path], published: list[Run]) -> None:
    margins = onnx.load(graph[0])
    linear = next(node for node in margins.graph.node if node.op_type == "LinearClassifier")
    next(a for a in linear.attribute if a.name == "post_transform").s = b"NONE"
    path = bank.folder / "margins.onnx"
    onnx.save_model(margins, path)
    with pytest.raises(ForeignModelError, match=r"margins\.onnx gives .* for row \d+ of the customers, which is no"):
        run(bank, model_file=path, golden=graph[1], train_source=str(bank.train))
    assert published == []


def test_the_native_file_of_a_model_from_elsewhere_is_not_loaded_again(bank: models.Elsewhere) -> None:
    path = bank.folder / native.FILE
    data = skops.io.dumps(models.raw_pipeline(bank))
    path.write_bytes(data)
    with pytest.raises(native.NativeModelError, match="trained elsewhere"):
        native.load_native(path, "foreign", "0" * 64)
