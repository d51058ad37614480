"""Scoring of files: the same numbers as served, every row checked, nothing left behind if a row is wrong."""

from __future__ import annotations

import gzip
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from support.bundles import PASSED
from support.telco import ID_COLUMN

from app import bundle
from app.bundle import BundleError, RiskBands
from app.model import load as load_model
from app.schemas import telco
from app.verification import parse_manifest
from training import export, pipeline, reading_csv
from training.data import DataError, encode_frame, load
from training.files import PathError
from training.generate import write
from training.population_check import PopulationError
from training.score import ModelFolder, score
from training.truth import GeneratorConfig

ROWS = 5000
ANSWERS = ["churn_probability", "decision", "risk_band", "model_name", "model_version", "scored_at"]


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("score") / "customers.parquet"
    write(GeneratorConfig(rows=ROWS, missing_total_share=0.1), path)
    return path


@pytest.fixture(scope="module")
def model_dir(customers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A servable logistic regression fitted on the same customers."""
    data = load(str(customers))
    assert data.churned is not None
    model = pipeline.fit("logistic_regression", telco(), data.customers, data.churned, seed=1, calibration_folds=2)
    features = encode_frame(telco(), data.customers, {})
    folder = tmp_path_factory.mktemp("bundle")
    facts = export.Facts(
        contract=telco(),
        medians={},
        model_name="churn",
        model_type="logistic_regression",
        run_id="run",
        git_revision=None,
        dataset_sha256=data.sha256,
        threshold=0.25,
        metrics={},
    )
    export.write_files(
        folder,
        model,
        facts,
        train=features,
        everyone=features,
        holdout=data.customers,
        holdout_scores=pipeline.predict(model, data.customers),
    )
    export.write_manifest(folder, facts, [PASSED])
    return folder


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


@pytest.mark.parametrize("extensions", [("csv", "csv"), ("csv", "parquet"), ("parquet", "csv"), ("parquet", "parquet")])
def test_the_file_has_the_answers_that_would_be_served(
    tmp_path: Path,
    model_dir: Path,
    customers: Path,
    monkeypatch: pytest.MonkeyPatch,
    extensions: tuple[str, str],
) -> None:
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 100_000)  # several batches of a CSV file too
    source, out = tmp_path / f"in.{extensions[0]}", tmp_path / "new" / f"out.{extensions[1]}"
    write(GeneratorConfig(rows=ROWS, missing_total_share=0.1), source)
    summary = score(ModelFolder(model_dir), str(source), out, batch_rows=777)
    answers, data, model = read(out), load(str(customers)), load_model(model_dir)
    expected = model.score(encode_frame(telco(), data.customers, {}))
    assert data.ids is not None
    assert list(answers.columns) == ["customer_id", *ANSWERS]
    assert answers["customer_id"].tolist() == data.ids.tolist()
    np.testing.assert_allclose(answers["churn_probability"], expected, rtol=0, atol=1e-7)
    one_by_one = [model.thresholds.decide(probability) for probability in answers["churn_probability"]]
    assert answers["decision"].tolist() == [decision for decision, _ in one_by_one]
    assert answers["risk_band"].tolist() == [band for _, band in one_by_one]
    assert summary.rows == ROWS
    assert summary.decisions == answers["decision"].value_counts().to_dict()
    assert summary.risk_bands == answers["risk_band"].value_counts().to_dict()
    assert set(summary.risk_bands) == {"low", "medium", "high"}
    assert summary.mean_probability == pytest.approx(answers["churn_probability"].mean())
    assert summary.threshold == 0.25


def test_probability_on_a_bound_belongs_to_the_upper_side(tmp_path: Path, model_dir: Path, customers: Path) -> None:
    first = float(load_model(model_dir).score(encode_frame(telco(), load(str(customers)).customers.head(1), {}))[0])
    path = model_dir / bundle.MANIFEST
    original = path.read_bytes()
    manifest = parse_manifest(original, None)
    exact = manifest.model_copy(update={"threshold": first, "risk_bands": RiskBands(medium=first / 2, high=first)})
    try:
        bundle.write_json(path, exact)
        head = tmp_path / "head.parquet"
        pd.read_parquet(customers).head(1).to_parquet(head)
        score(ModelFolder(model_dir), str(head), tmp_path / "out.csv")
    finally:
        path.write_bytes(original)
    (answer,) = read(tmp_path / "out.csv").to_dict("records")
    assert (answer["decision"], answer["risk_band"]) == ("churn", "high")


def test_neither_labels_nor_ids_are_needed(tmp_path: Path, model_dir: Path, customers: Path) -> None:
    frame = pd.read_parquet(customers).drop(columns=["churned", ID_COLUMN])
    frame.to_parquet(tmp_path / "in.parquet")
    score(ModelFolder(model_dir), str(tmp_path / "in.parquet"), tmp_path / "out.parquet")
    assert list(read(tmp_path / "out.parquet").columns) == ANSWERS


def test_violations_are_all_reported_and_the_old_answer_stays(tmp_path: Path, model_dir: Path, customers: Path) -> None:
    frame = pd.read_parquet(customers)
    frame.loc[[0, 4999], "gender"] = "X"
    frame.loc[3000, "monthly_charges"] = -5.0
    frame.to_parquet(tmp_path / "in.parquet")
    (tmp_path / "out.csv").write_text("of yesterday")
    with pytest.raises(DataError) as caught:
        score(
            ModelFolder(model_dir), str(tmp_path / "in.parquet"), tmp_path / "out.csv", batch_rows=1000, overwrite=True
        )
    assert caught.value.source == str(tmp_path / "in.parquet")
    assert {(v.column, v.rows) for v in caught.value.violations} == {
        ("gender", (1, 5000)), ("monthly_charges", (3001,)),
    }  # fmt: skip
    assert (tmp_path / "out.csv").read_text() == "of yesterday"
    assert {path.name for path in tmp_path.iterdir()} == {"in.parquet", "out.csv"}


def test_empty_file_is_refused(tmp_path: Path, model_dir: Path, customers: Path) -> None:
    pd.read_parquet(customers).head(0).to_csv(tmp_path / "in.csv", index=False)
    with pytest.raises(DataError, match="no data row"):
        score(ModelFolder(model_dir), str(tmp_path / "in.csv"), tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_changed_model_is_refused_before_anything_is_read(tmp_path: Path, model_dir: Path) -> None:
    model = model_dir / bundle.MODEL
    original = model.read_bytes()
    try:
        model.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
        with pytest.raises(BundleError, match=r"model\.onnx: its sha256 is not the one in the manifest"):
            score(ModelFolder(model_dir), "absent.csv", tmp_path / "out.csv")
    finally:
        model.write_bytes(original)
    with pytest.raises(BundleError, match="not the registered one"):
        score(ModelFolder(model_dir, manifest_sha256="0" * 64), "absent.csv", tmp_path / "out.csv")
    with pytest.raises(BundleError, match=r"manifest\.json: No such file"):
        score(ModelFolder(tmp_path), "absent.csv", tmp_path / "out.csv")


def test_unknown_output_format_is_refused(tmp_path: Path, model_dir: Path) -> None:
    with pytest.raises(PathError, match=r"\.txt; expected \.csv or \.parquet"):
        score(ModelFolder(model_dir), "absent.csv", tmp_path / "out.txt")


def test_every_row_says_which_model_and_when(tmp_path: Path, model_dir: Path, customers: Path) -> None:
    out, text = tmp_path / "out.parquet", tmp_path / "out.csv"
    began = datetime.now(UTC).replace(microsecond=0)
    summary = score(ModelFolder(model_dir, version="12"), str(customers), out, batch_rows=777)
    assert began <= summary.scored_at <= datetime.now(UTC)
    frame = read(out)
    assert set(frame["model_name"]) == {"churn"}
    assert set(frame["model_version"]) == {"12"}
    assert set(frame["scored_at"]) == {pd.Timestamp(summary.scored_at)}
    digest = bundle.digest(model_dir / bundle.MANIFEST).sha256
    score(ModelFolder(model_dir), str(customers), text)
    lines = read(text)
    assert set(lines["model_version"]) == {f"local-{digest[:8]}"}
    assert lines["scored_at"].str.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").all()
    metadata = {name.decode(): value.decode() for name, value in pq.read_metadata(out).metadata.items()}
    assert metadata == {
        "churn.model_name": "churn",
        "churn.model_version": "12",
        "churn.run_id": "run",
        "churn.manifest_sha256": digest,
        "churn.contract": "telco",
        "churn.contract_sha256": telco().sha256,
        "churn.threshold": "0.25",
        "churn.scored_at": f"{summary.scored_at:%Y-%m-%dT%H:%M:%SZ}",
    }


def test_a_model_name_with_a_comma_is_quoted(tmp_path: Path, model_dir: Path, customers: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder)
    path = folder / bundle.MANIFEST
    manifest = parse_manifest(path.read_bytes(), None)
    bundle.write_json(path, manifest.model_copy(update={"model_name": 'churn, "north"'}))
    score(ModelFolder(folder), str(customers), tmp_path / "out.csv")
    assert set(read(tmp_path / "out.csv")["model_name"]) == {'churn, "north"'}


def test_the_customers_are_never_replaced_by_their_scores(tmp_path: Path, model_dir: Path, customers: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(customers.read_bytes())
    with pytest.raises(PathError, match="it is the same file as the input"):
        score(ModelFolder(model_dir), str(path), path, overwrite=True)
    assert path.read_bytes() == customers.read_bytes()


def test_an_existing_file_is_replaced_only_on_request(tmp_path: Path, model_dir: Path, customers: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("of yesterday")
    with pytest.raises(PathError, match=r"out\.csv: it exists already; .* --force"):
        score(ModelFolder(model_dir), str(customers), out)
    assert out.read_text() == "of yesterday"
    assert len(read(Path(score(ModelFolder(model_dir), str(customers), out, overwrite=True).out))) == ROWS


@pytest.mark.parametrize("extension", ["csv", "parquet", "csv.gz", "xlsx", "parts"])
def test_progress_rises_to_all_rows(
    tmp_path: Path, model_dir: Path, monkeypatch: pytest.MonkeyPatch, extension: str
) -> None:
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 100_000)
    source = tmp_path / f"in.{extension}"
    generated = tmp_path / f"generated.{'parquet' if extension == 'parquet' else 'csv'}"
    write(GeneratorConfig(rows=ROWS), generated)
    if extension == "csv.gz":
        source.write_bytes(gzip.compress(generated.read_bytes()))
    elif extension == "xlsx":
        pd.read_csv(generated, keep_default_na=False).to_excel(source, index=False)
    elif extension == "parts":
        source.mkdir()
        generated.rename(source / "1.csv")
        write(GeneratorConfig(rows=ROWS), source / "2.csv")
    else:
        generated.rename(source)
    seen: list[tuple[int, float]] = []
    score(
        ModelFolder(model_dir),
        str(source),
        tmp_path / "o.csv",
        batch_rows=1000,
        on_progress=lambda *step: seen.append(step),
    )
    assert len(seen) > 4
    assert seen == sorted(seen)
    assert 0 < seen[0][1] < 0.5
    assert seen[-1] == (ROWS * (2 if extension == "parts" else 1), 1.0)


def test_another_population_is_named_and_refused_when_strict(tmp_path: Path, model_dir: Path, customers: Path) -> None:
    assert score(ModelFolder(model_dir), str(customers), tmp_path / "same.csv", strict=True).differences == ()
    weeks = pd.read_parquet(customers)
    weeks["tenure_months"] = (weeks["tenure_months"] * 4.345).astype(int)
    weeks.to_parquet(tmp_path / "weeks.parquet")
    summary = score(ModelFolder(model_dir), str(tmp_path / "weeks.parquet"), tmp_path / "out.csv")
    assert summary.differences[0].name == "tenure_months"
    assert "higher" in summary.differences[0].words
    with pytest.raises(PopulationError, match="tenure_months") as caught:
        score(ModelFolder(model_dir), str(tmp_path / "weeks.parquet"), tmp_path / "strict.csv", strict=True)
    assert "nothing was written" in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} == {"weeks.parquet", "same.csv", "out.csv"}
