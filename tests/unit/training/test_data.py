"""Loading customers, and coding a frame of them."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.telco import FEATURE_NAMES, FEATURES, IBM_COLUMNS, encode

from app.schemas import telco
from training.data import DataError, encode_frame, load
from training.generate import generate, write
from training.truth import GeneratorConfig, truth_path

OURS_TO_IBM = {ours: ibm for ibm, ours in IBM_COLUMNS.items()}


def as_customers(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as the API would receive them: whole numbers as int, a blank total as None."""
    rows = []
    for record in frame[list(FEATURE_NAMES)].to_dict("records"):
        row: dict[str, Any] = {}
        for feature in FEATURES:
            value = record[feature.name]
            row[feature.name] = int(value) if feature.integer else value
        row["total_charges"] = None if math.isnan(row["total_charges"]) else row["total_charges"]
        rows.append(row)
    return rows


def test_loaded_customers_have_the_documented_shape(customers_csv: Path) -> None:
    data = load(str(customers_csv))
    assert list(data.customers.columns) == list(FEATURE_NAMES)
    for feature in FEATURES:
        column = data.customers[feature.name]
        if feature.categories:
            assert tuple(column.cat.categories) == feature.categories
        else:
            assert column.dtype == np.float64
    assert data.churned is not None
    assert data.churned.dtype == np.int8
    assert data.source == str(customers_csv)
    assert data.sha256 == hashlib.sha256(customers_csv.read_bytes()).hexdigest()
    assert data.truth is not None
    assert data.truth.rows == 300


def test_blank_total_is_tenure_times_monthly_charges(customers_csv: Path, table: pd.DataFrame) -> None:
    blank = table["total_charges"] == ""
    assert blank.sum() > 20
    customers = load(str(customers_csv)).customers
    expected = customers["tenure_months"] * customers["monthly_charges"]
    assert (customers["total_charges"][blank] == expected[blank]).all()
    assert not (customers["total_charges"][~blank] == expected[~blank]).all()


def test_frame_and_rows_are_coded_identically() -> None:
    customers = generate(GeneratorConfig(rows=5000, seed=11, missing_total_share=0.2)).customers
    coded = encode_frame(telco(), customers, {})
    assert coded.dtype == np.float32
    assert coded.flags["C_CONTIGUOUS"]
    assert coded.tobytes() == encode(as_customers(customers)).tobytes()


def test_file_and_frame_are_coded_identically(tmp_path: Path) -> None:
    config = GeneratorConfig(rows=2000, missing_total_share=0.2)
    write(config, tmp_path / "a.parquet")
    assert encode_frame(telco(), load(str(tmp_path / "a.parquet")).customers, {}).tobytes() == (
        encode_frame(telco(), generate(config).customers, {}).tobytes()
    )


def test_frame_with_other_categories_is_refused(customers_csv: Path) -> None:
    customers = load(str(customers_csv)).customers
    turned = customers.assign(gender=customers["gender"].cat.reorder_categories(["Male", "Female"]))
    with pytest.raises(ValueError, match="gender: not a category column of Female, Male"):
        encode_frame(telco(), turned, {})
    with pytest.raises(ValueError, match="gender: not a category column"):
        encode_frame(telco(), customers.assign(gender="Male"), {})
    blank = customers.assign(gender=customers["gender"].where(customers.index != 3))
    with pytest.raises(ValueError, match="gender: blank"):
        encode_frame(telco(), blank, {})


def test_ibms_file_loads_unchanged(tmp_path: Path, customers_csv: Path, table: pd.DataFrame) -> None:
    ibm = table.rename(columns=OURS_TO_IBM)
    ibm["Churn"] = ibm["Churn"].map({"0": "No", "1": "Yes"})
    ibm["TotalCharges"] = ibm["TotalCharges"].replace("", " ")
    # IBM's file has another order of columns, and other line ends.
    ibm[sorted(ibm.columns)].to_csv(tmp_path / "ibm.csv", index=False, lineterminator="\r\n")
    theirs, ours = load(str(tmp_path / "ibm.csv")), load(str(customers_csv))
    pd.testing.assert_frame_equal(theirs.customers, ours.customers)
    assert theirs.churned is not None
    assert ours.churned is not None
    assert theirs.churned.tolist() == ours.churned.tolist()
    assert theirs.ids is not None
    assert theirs.ids.tolist() == table["customer_id"].tolist()
    assert theirs.truth is None


@pytest.mark.parametrize("spelling", [("0", "1"), ("No", "Yes"), ("false", "true"), ("False", "True"), ("0.0", "1.0")])
def test_labels_may_be_words(tmp_path: Path, table: pd.DataFrame, spelling: tuple[str, str]) -> None:
    expected = [int(c) for c in table["churned"]]
    table["churned"] = [spelling[int(c)] for c in table["churned"]]
    table.to_csv(tmp_path / "a.csv", index=False)
    churned = load(str(tmp_path / "a.csv")).churned
    assert churned is not None
    assert churned.tolist() == expected


@pytest.mark.parametrize("kind", [pa.bool_(), pa.int64(), pa.float32(), pa.string(), pa.large_string()])
def test_parquet_types_that_can_hold_a_value_are_read(tmp_path: Path, table: pd.DataFrame, kind: pa.DataType) -> None:
    columns = {name: pa.array(table[name]) for name in table.columns}
    columns["churned"] = pa.array(table["churned"].astype(int)).cast(kind)
    columns["gender"] = columns["gender"].dictionary_encode()
    columns["contract"] = columns["contract"].cast(pa.large_string())
    columns["tenure_months"] = columns["tenure_months"].cast(pa.float64())
    columns["monthly_charges"] = columns["monthly_charges"].cast(pa.decimal128(9, 2))
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    data = load(str(tmp_path / "a.parquet"))
    assert data.churned is not None
    assert data.churned.tolist() == table["churned"].astype(int).tolist()
    assert data.customers["gender"].tolist() == table["gender"].tolist()
    assert data.customers["monthly_charges"].tolist() == table["monthly_charges"].astype(float).tolist()


def test_frame_written_by_pandas_is_read(tmp_path: Path) -> None:
    customers = generate(GeneratorConfig(rows=200)).customers
    customers.to_parquet(tmp_path / "a.parquet")
    data = load(str(tmp_path / "a.parquet"))
    assert encode_frame(telco(), data.customers, {}).tobytes() == encode_frame(telco(), customers, {}).tobytes()


def test_without_labels_and_ids(tmp_path: Path, table: pd.DataFrame) -> None:
    table.drop(columns=["churned", "customer_id"]).to_csv(tmp_path / "a.csv", index=False)
    data = load(str(tmp_path / "a.csv"), labelled=False)
    assert data.churned is None
    assert data.ids is None
    with pytest.raises(DataError, match="churned: column is missing"):
        load(str(tmp_path / "a.csv"))


def test_labels_are_ignored_unless_required(tmp_path: Path, table: pd.DataFrame) -> None:
    table["churned"] = "not yet known"
    table.to_csv(tmp_path / "a.csv", index=False)
    assert load(str(tmp_path / "a.csv"), labelled=False).churned is None


def test_customer_ids_may_repeat_and_may_be_numbers(tmp_path: Path, table: pd.DataFrame) -> None:
    typed = table.assign(customer_id=np.arange(300) // 2)
    typed.to_parquet(tmp_path / "a.parquet")
    ids = load(str(tmp_path / "a.parquet")).ids
    assert ids is not None
    assert ids.tolist() == [str(i // 2) for i in range(300)]


def test_one_class_only_is_refused(tmp_path: Path, table: pd.DataFrame) -> None:
    table["churned"] = "0"
    table.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match="churned: every row is 0; expected customers who churned and"):
        load(str(tmp_path / "a.csv"))


def test_truth_of_another_file_is_refused(tmp_path: Path, table: pd.DataFrame) -> None:
    path = tmp_path / "a.csv"
    write(GeneratorConfig(rows=300), path)
    table.to_csv(path, index=False)
    with pytest.raises(DataError, match=r"a\.truth\.json belongs to a file with other content.*delete the truth"):
        load(str(path))
    truth_path(path).write_text('{"format": 9}')
    with pytest.raises(DataError, match=r"a\.truth\.json is not a truth file"):
        load(str(path))
    truth_path(path).unlink()
    assert load(str(path)).truth is None
