"""Parquet columns of any type that can hold a contract's values."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from support.parquet import with_column

from training.data import DataError, load


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("gender", lambda a: a.dictionary_encode()),
        ("gender", lambda a: a.cast(pa.large_string())),
        ("gender", lambda a: a.cast(pa.large_string()).dictionary_encode()),
        ("gender", lambda a: a.cast(pa.string_view())),
        ("customer_id", lambda a: a.cast(pa.string_view())),
        ("customer_id", lambda a: a.dictionary_encode()),
        ("tenure_months", lambda a: a.cast(pa.int16())),
        ("tenure_months", lambda a: a.cast(pa.float64()).cast(pa.float16())),
        ("tenure_months", lambda a: a.cast(pa.int64()).cast(pa.decimal128(38, 10))),
        ("tenure_months", lambda a: a.dictionary_encode()),
        ("monthly_charges", lambda a: pa.array([Decimal(text) for text in a.to_pylist()])),
        ("monthly_charges", lambda a: pa.array([text.replace(".", ",") for text in a.to_pylist()], pa.large_string())),
        ("monthly_charges", lambda a: pa.array([f"€ {text}" for text in a.to_pylist()]).dictionary_encode()),
        ("churned", lambda a: a.cast(pa.int64()).cast(pa.bool_())),
        ("churned", lambda a: a.cast(pa.int64()).cast(pa.decimal128(30, 2))),
        ("partner", lambda a: pa.array([text == "Yes" for text in a.to_pylist()])),
    ],
)
def test_the_same_customers_in_another_type(
    tmp_path: Path,
    customers_csv: Path,
    table: pd.DataFrame,
    name: str,
    column: str,
    change: Callable[[pa.Array], pa.Array],
) -> None:
    clean = load(str(customers_csv))
    data = load(with_column(tmp_path / name, table, column, change))
    assert data.customers.equals(clean.customers)
    assert ("The file was read as Parquet, whatever its name says." in data.notes) == (name == "a.csv")
    assert data.churned is not None
    assert clean.churned is not None
    assert np.array_equal(data.churned, clean.churned)


@pytest.mark.parametrize("column", ["tenure_months", "gender", "churned"])
def test_times_are_refused_by_their_type(tmp_path: Path, table: pd.DataFrame, column: str) -> None:
    source = with_column(
        tmp_path / "a.parquet",
        table,
        column,
        lambda a: pa.array([pd.Timestamp("2026-01-01")] * len(a), pa.timestamp("us")),
    )
    with pytest.raises(DataError, match=rf"{column}: a column of type timestamp\[us\]"):
        load(source)


def test_text_numbers_with_two_readings_are_refused(tmp_path: Path, table: pd.DataFrame) -> None:
    source = with_column(tmp_path / "a.parquet", table, "total_charges", lambda a: pa.array(["1.854"] * len(a)))
    with pytest.raises(DataError, match=r"total_charges: '1\.854' in row 1 is 1\.854 or 1854"):
        load(source)
