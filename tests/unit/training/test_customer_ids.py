"""Ids that are missing, odd or shared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from support.bundles import make_bundle

from app.schemas import telco
from training.data import Dataset, load
from training.score import ModelFolder, score
from training.validate import checked_batches
from training.violations import Findings


def loaded(table: pd.DataFrame, ids: list[str], path: Path) -> Dataset:
    table.assign(customer_id=ids).to_csv(path / "a.csv", index=False)
    return load(str(path / "a.csv"))


def unique(table: pd.DataFrame) -> list[str]:
    return [f"C{number}" for number in range(len(table))]


@pytest.mark.parametrize("word", ["", " ", "NULL", "null", "None", "NaN", "nan", "N/A", "NA", "<NA>", " NULL "])
def test_a_word_for_nothing_is_not_an_id(tmp_path: Path, table: pd.DataFrame, word: str) -> None:
    ids = unique(table)
    ids[3], ids[7] = word, word
    read = loaded(table, ids, tmp_path)
    assert read.ids is not None
    assert read.ids.is_unique
    assert read.ids[[3, 7]].tolist() == ["row 4 without id", "row 8 without id"]
    assert read.notes[-1] == (
        "2 rows have no customer_id (blank, or a word such as NULL): each counts as a customer of its own."
    )


@pytest.mark.parametrize("word", ["NULLER", "N-A", "0", "nano", "None-1"])
def test_an_id_that_only_begins_with_such_a_word_is_valid(tmp_path: Path, table: pd.DataFrame, word: str) -> None:
    read = loaded(table, [word, *unique(table)[1:]], tmp_path)
    assert read.ids is not None
    assert read.ids[0] == word
    assert read.notes == ()


def test_missing_ids_are_counted_across_batches_and_stay_as_written(tmp_path: Path, table: pd.DataFrame) -> None:
    table["customer_id"] = unique(table)
    table.loc[[3, 200, 250], "customer_id"] = ["NULL", None, " N/A "]
    table.to_parquet(tmp_path / "a.parquet")
    findings = Findings(telco())
    batches = list(checked_batches(tmp_path / "a.parquet", telco(), findings, labelled=True, batch_rows=100))
    written = [text for batch in batches if batch.ids is not None for text in batch.ids.to_pylist()]
    assert [written[row] for row in (3, 200, 250)] == ["NULL", "", "N/A"]
    missing = np.concatenate([batch.ids_missing for batch in batches if batch.ids_missing is not None])
    assert np.flatnonzero(missing).tolist() == [3, 200, 250]
    assert any(note.startswith("3 rows have no customer_id") for note in findings.notes)


@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_missing_ids_stay_as_written_in_scored_output(tmp_path: Path, table: pd.DataFrame, extension: str) -> None:
    make_bundle(tmp_path / "bundle")
    table["customer_id"] = unique(table)
    table.loc[[3, 200], "customer_id"] = ["NULL", None]
    table.to_parquet(tmp_path / "a.parquet")
    out = tmp_path / f"out.{extension}"
    score(ModelFolder(tmp_path / "bundle"), str(tmp_path / "a.parquet"), out)
    answers = pd.read_csv(out, keep_default_na=False) if extension == "csv" else pd.read_parquet(out)
    assert answers["customer_id"].tolist() == table["customer_id"].fillna("").tolist()


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.float64(), pa.decimal128(9, 2), pa.int64(), pa.float32(), pa.large_string()]
)
def test_ids_that_are_numbers_are_read_as_their_digits(tmp_path: Path, table: pd.DataFrame, kind: pa.DataType) -> None:
    numbers = [float(number) for number in range(len(table))]
    ids = pa.array(map(str, numbers)) if "string" in str(kind) else pa.array(numbers, pa.float64())
    columns = {name: pa.array(table[name]) for name in table.columns} | {"customer_id": pc.cast(ids, kind)}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    read = load(str(tmp_path / "a.parquet"))
    assert read.ids is not None
    assert read.ids.tolist() == [str(number) for number in range(len(table))]
    written_as_decimals = "string" in str(kind) or pa.types.is_decimal(kind)
    assert [note.startswith("300 rows have a customer_id that ends in .0") for note in read.notes] == (
        [True] if written_as_decimals else []
    )


def test_repeated_ids_of_the_same_customer_are_only_counted(tmp_path: Path, table: pd.DataFrame) -> None:
    table["tenure_months"] = [str(number) for number in range(len(table))]
    table["gender"] = "Male"
    ids = [f"C{number // 2}" if number < 20 else f"D{number}" for number in range(len(table))]
    assert loaded(table, ids, tmp_path).notes == (
        "20 rows share 10 ids: rows of one id count as one customer and stay together in one part of the data.",
    )


@pytest.mark.parametrize("column", ["gender", "contract"])
def test_repeated_ids_of_different_customers_are_reported(tmp_path: Path, table: pd.DataFrame, column: str) -> None:
    """Two genders are two customers in any month; two contracts are two customers in the same month."""
    table["tenure_months"] = "5" if column == "contract" else [str(number) for number in range(len(table))]
    others = [name for name in table.columns if name != "tenure_months"]
    table.loc[1, others] = table.loc[0, others]
    table.loc[:1, column] = ["Male", "Female"] if column == "gender" else ["One year", "Two year"]
    (note,) = loaded(table, ["C1", "C1", *unique(table)[2:]], tmp_path).notes
    assert note == (
        "2 rows share 1 id but describe different customers: give each customer an id of its own, "
        "since rows of one id count as one customer."
    )


def test_same_row_twice_is_the_same_customer(tmp_path: Path, table: pd.DataFrame) -> None:
    table.loc[1] = table.loc[0]
    (note,) = loaded(table, ["C1", "C1", *unique(table)[2:]], tmp_path).notes
    assert note.startswith("2 rows share 1 id: rows of one id count as one customer")
