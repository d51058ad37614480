"""Pipelines from elsewhere: loaded without pickle, converted with the same scores, or refused with words."""

from __future__ import annotations

import io
import json
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
import threadpoolctl  # type: ignore[import-untyped]  # published without types
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, StandardScaler
from support import foreign_models as models

from app.bundle import INPUT_NAME, OUTPUT_NAME
from training import foreign_pipeline, foreign_probe, pipeline
from training.contract_file import read
from training.data import encode_frame, load
from training.export import onnx_scores
from training.foreign_error import ForeignModelError
from training.foreign_pipeline import pipeline_graph, read_pipeline

BANK = read(models.BANK)


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves the process of its own: these graphs are converted here."""
    monkeypatch.setattr(foreign_probe, "probe", lambda *_: None)


def written(folder: Path, model: Any) -> Path:
    path = folder / "model.skops"
    skops.io.dump(model, path)
    return path


def refusal(path: Path, *trusted_types: str) -> str:
    with pytest.raises(ForeignModelError) as caught:
        read_pipeline(path, BANK, trusted_types)
    message = str(caught.value)
    assert message.startswith("model.skops ")
    return message


def holdout(bank: models.Elsewhere) -> pd.DataFrame:
    """The customers as they are loaded for a registration."""
    return load(str(bank.holdout), BANK).customers.fillna(bank.medians)


def boosted(bank: models.Elsewhere) -> Pipeline:
    texts = [f.name for f in BANK.features if f.is_category]
    columns = ColumnTransformer([("texts", OrdinalEncoder(), texts)], remainder="passthrough")
    model = HistGradientBoostingClassifier(max_iter=20, random_state=1)
    return make_pipeline(columns, model).fit(bank.raw(bank.train), bank.labels(bank.train))


def some_numbers(bank: models.Elsewhere) -> Pipeline:
    """A forest over three of the columns, in an order of its own."""
    names = ["balance", "age", "products"]
    forest = RandomForestClassifier(n_estimators=10, max_depth=4, random_state=1)
    columns = ColumnTransformer([("numbers", StandardScaler(), names)])
    return make_pipeline(columns, forest).fit(bank.raw(bank.train)[names], bank.labels(bank.train))


@pytest.mark.parametrize("build", [models.raw_pipeline, some_numbers, boosted])
def test_a_pipeline_over_raw_columns_is_served_with_its_scores(build: Any, bank: models.Elsewhere) -> None:
    with threadpoolctl.threadpool_limits(1):  # beside other tests, two threads wait for each other
        path = written(bank.folder, build(bank))
    model = read_pipeline(path, BANK, ("sklearn.tree._tree.Tree",))
    customers = holdout(bank)
    features = encode_frame(BANK, customers, bank.medians)
    scores = pipeline.predict(model, customers)
    graph = pipeline_graph(path, model, BANK, features=features, scores=scores, limit=1e-5)
    assert np.abs(onnx_scores(graph, features) - scores).max() < 1e-5


def test_a_pipeline_that_churn_train_fits_is_converted_as_there(bank: models.Elsewhere) -> None:
    customers = holdout(bank)
    labels = bank.labels(bank.holdout).astype(np.int8)
    fitted = pipeline.fit("logistic_regression", BANK, customers, labels, seed=1, calibration_folds=2)
    path = written(bank.folder, fitted)
    model = read_pipeline(path, BANK, ())
    features = encode_frame(BANK, customers, bank.medians)
    scores = pipeline.predict(model, customers)
    graph = pipeline_graph(path, model, BANK, features=features, scores=scores, limit=1e-5)
    assert np.abs(onnx_scores(graph, features) - scores).max() < 1e-6


def test_a_pipeline_without_a_conversion_is_refused_with_the_way_out(bank: models.Elsewhere) -> None:
    model = make_pipeline(FunctionTransformer(np.log1p), GaussianNB())
    model.fit(bank.raw(bank.train)[["balance", "age"]], bank.labels(bank.train))
    customers = holdout(bank)
    features = encode_frame(BANK, customers, bank.medians)
    scores = pipeline.predict(model, customers[["balance", "age"]])
    with pytest.raises(
        ForeignModelError, match=r"cannot be converted \(.+\): export it to ONNX over the coded features"
    ):
        pipeline_graph(Path("model.skops"), model, BANK, features=features, scores=scores, limit=1e-5)


def test_a_conversion_with_other_scores_is_refused(bank: models.Elsewhere) -> None:
    model = models.raw_pipeline(bank)
    customers = holdout(bank)
    features = encode_frame(BANK, customers, bank.medians)
    wrong = 1 - pipeline.predict(model, customers)
    with pytest.raises(ForeignModelError, match=r"differs from the pipeline's by 0\.\d+, and 1e-05 may be"):
        pipeline_graph(Path("model.skops"), model, BANK, features=features, scores=wrong, limit=1e-5)


def test_types_that_are_not_trusted_are_named_and_refused_unless_a_person_trusts_them(bank: models.Elsewhere) -> None:
    model = make_pipeline(FunctionTransformer(partial(np.clip, a_min=0, a_max=1)), LogisticRegression())
    model.fit(bank.raw(bank.train)[["age"]], bank.labels(bank.train))
    path = written(bank.folder, model)
    message = refusal(path)
    assert "holds types that are not trusted: functools.partial, numpy.clip" in message
    assert "add --trust functools.partial --trust numpy.clip" in message
    assert "numpy.clip" in refusal(path, "functools.partial")
    assert read_pipeline(path, BANK, ("functools.partial", "numpy.clip")).named_steps.keys() == model.named_steps.keys()


def forged(model: Any, module: str, name: str) -> bytes:
    """A file whose pipeline claims to be of another type."""
    plain = io.BytesIO(skops.io.dumps(model))
    with zipfile.ZipFile(plain) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    schema = json.loads(parts["schema.json"])
    schema |= {"__module__": module, "__class__": name}
    parts["schema.json"] = json.dumps(schema).encode()
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as archive:
        for part, data in parts.items():
            archive.writestr(part, data)
    return result.getvalue()


@pytest.mark.parametrize(("module", "name"), [("os", "system"), ("builtins", "eval"), ("subprocess", "Popen")])
def test_a_forged_type_is_refused_and_nothing_of_it_runs(
    module: str, name: str, bank: models.Elsewhere, tmp_path: Path
) -> None:
    path = tmp_path / "model.skops"
    path.write_bytes(forged(models.raw_pipeline(bank), module, name))
    assert f"types that are not trusted: {module}.{name}" in refusal(path)


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x80\x04\x95pickle", b"PK\x03\x04" + bytes(30)])
def test_what_skops_did_not_write_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    path.write_bytes(data)
    assert "cannot be loaded by skops" in refusal(path)


def test_a_file_that_was_cut_off_or_unpacks_to_too_much_is_refused(
    bank: models.Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = skops.io.dumps(models.raw_pipeline(bank))
    path = tmp_path / "model.skops"
    path.write_bytes(data[: len(data) // 2])
    assert "cannot be loaded by skops" in refusal(path)
    path.write_bytes(data)
    monkeypatch.setattr(foreign_pipeline, "_UNPACKED_BYTES_MAX", 1024)
    assert "unpacks to 0 MiB" in refusal(path)


def test_what_is_no_pipeline_of_this_contract_is_refused_in_words(bank: models.Elsewhere) -> None:
    table, labels = bank.raw(bank.train)[["age", "balance"]], bank.labels(bank.train)
    bare = LogisticRegression().fit(table, labels)
    assert "holds a LogisticRegression, and not a fitted pipeline" in refusal(written(bank.folder, bare))
    scaler = make_pipeline(StandardScaler()).fit(table)
    assert "not a fitted pipeline with predict_proba" in refusal(written(bank.folder, scaler))
    three = make_pipeline(LogisticRegression()).fit(table, np.arange(len(table)) % 3)
    assert "has the classes ['0', '1', '2']" in refusal(written(bank.folder, three))
    nameless = make_pipeline(LogisticRegression()).fit(table.to_numpy(), labels)
    assert "does not know the names of its columns" in refusal(written(bank.folder, nameless))
    other = make_pipeline(LogisticRegression()).fit(table.rename(columns={"age": "years"}), labels)
    assert "reads years, which contract 'bank' does not have" in refusal(written(bank.folder, other))
    calibrated = make_pipeline(CalibratedClassifierCV(LogisticRegression(), cv=2)).fit(table, labels)
    assert read_pipeline(written(bank.folder, calibrated), BANK, ()).classes_.tolist() == [0, 1]
    assert {INPUT_NAME, OUTPUT_NAME}.isdisjoint(BANK.names)
