"""All violations of a file are reported together, and hostile files do no harm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from support.telco import FEATURES, Customer

from training import reading_csv
from training.causes import VALUES_SHOWN
from training.data import DataError, Violation, load
from training.violations import FILE, LINES_SHOWN, VALUES_KEPT


def violations(path: Path, *, labelled: bool = True) -> tuple[Violation, ...]:
    with pytest.raises(DataError) as caught:
        load(str(path), labelled=labelled)
    return caught.value.violations


@pytest.fixture
def damaged(tmp_path: Path, table: pd.DataFrame) -> Callable[..., Path]:
    """Write the customers with some cells replaced: (column, 1-based row, value)."""

    def write(*cells: tuple[str, int, str]) -> Path:
        for column, row, value in cells:
            table.loc[row - 1, column] = value
        table.to_csv(tmp_path / "spoilt.csv", index=False)
        return tmp_path / "spoilt.csv"

    return write


def test_all_violations_are_reported_together(damaged: Callable[..., Path]) -> None:
    path = damaged(
        ("gender", 2, "femal"), ("gender", 7, "femal"), ("gender", 9, ""), ("contract", 300, "Weekly"),
        ("tenure_months", 5, "5.5"), ("tenure_months", 6, "-1"), ("senior_citizen", 1, "2"),
        ("monthly_charges", 3, "10000.01"), ("monthly_charges", 4, "abc"), ("monthly_charges", 8, " "),
        ("total_charges", 10, "n.a."), ("total_charges", 11, "inf"), ("total_charges", 12, "1e999"),
        ("customer_id", 13, "a b"), ("customer_id", 14, "a/b"), ("churned", 15, "maybe"), ("churned", 16, ""),
    )  # fmt: skip
    reported = {(v.column, v.rows, v.value) for v in violations(path)}
    assert reported == {
        ("gender", (2, 7), "'femal'"), ("gender", (9,), "(blank)"), ("contract", (300,), "'Weekly'"),
        ("tenure_months", (5,), "'5.5'"), ("tenure_months", (6,), "'-1'"), ("senior_citizen", (1,), "'2'"),
        ("monthly_charges", (3,), "'10000.01'"), ("monthly_charges", (4,), "'abc'"),
        ("monthly_charges", (8,), "(blank)"), ("total_charges", (10,), "'n.a.'"), ("total_charges", (11,), "'inf'"),
        ("total_charges", (12,), "'1e999'"), ("customer_id", (13,), "'a b'"), ("customer_id", (14,), "'a/b'"),
        ("churned", (15,), "'maybe'"), ("churned", (16,), "(blank)"),
    }  # fmt: skip
    expected = {feature.name: feature.expected for feature in FEATURES}
    assert all(v.expected == expected[v.column] for v in violations(path) if v.column in expected)


def test_message_names_column_rows_value_and_expectation(damaged: Callable[..., Path]) -> None:
    path = damaged(*[("gender", row, "X") for row in range(1, 15)], ("tenure_months", 3, "2.5"))
    with pytest.raises(DataError) as caught:
        load(str(path))
    assert str(caught.value).splitlines() == [
        f"{path}: 15 problems (2 causes)",
        (
            "  gender: rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 4 more (lines 2, 3, 4, 5, 6, 7, 8, 9, 10, 11): 'X'; "
            "expected one of 'Female', 'Male'"
        ),
        "  tenure_months: row 3 (line 4): '2.5'; expected a whole number from 0 to 1200",
    ]


def test_the_report_is_bounded_whatever_is_wrong(tmp_path: Path, table: pd.DataFrame) -> None:
    for column in table.columns:
        table[column] = [f"{row} {'x' * 1000}" for row in range(300)]
    table.to_csv(tmp_path / "a.csv", index=False)
    reported = violations(tmp_path / "a.csv")
    genders = [v for v in reported if v.column == "gender"]
    assert len(genders) == VALUES_KEPT + 1
    assert genders[-1].value == "(other values)"
    assert sum(v.count for v in genders) == 300
    assert all(len(v.value) < 80 and len(v.rows) <= 10 for v in reported)
    lines = str(DataError("a.csv", reported)).splitlines()
    causes = len({(v.column, v.cause) for v in reported})
    assert len(lines) == 1 + causes + LINES_SHOWN + 1
    assert lines[-1] == f"    and {causes * (VALUES_SHOWN + 1) - LINES_SHOWN} more"


def test_columns_missing_unknown_and_doubled(tmp_path: Path, table: pd.DataFrame) -> None:
    table.loc[4, "partner"] = "Perhaps"
    text = table.drop(columns="contract").rename(columns={"gender": "sex"})
    text["Partner2"] = text["dependents"]
    path = tmp_path / "a.csv"
    text.to_csv(path, index=False)
    path.write_text(path.read_text().replace("Partner2", "Dependents", 1))
    reported = {(v.column, v.value) for v in violations(path)}
    assert reported == {
        ("contract", "column is missing"), ("gender", "column is missing"), ("'sex'", "unknown column"),
        ("dependents", "2 columns stand for it"), ("partner", "'Perhaps'"),
    }  # fmt: skip


def test_file_checks_agree_with_the_api(tmp_path: Path, table: pd.DataFrame) -> None:
    numbers = ["0", "1", "2", "12", "1200", "1201", "-0", "-1", "0.5", "5.0", "1e2", "9999.99", "10000", "10000.01",
               "1000000", "1000000.5", "nan", "inf", "-inf", "1e400", "", "x", "0x10", "1_0", "٣"]  # fmt: skip
    texts = ["", "No", "Yes", "yes", " Yes", "No internet service", "No phone service", "Female", "DSL", "One year\x00"]
    rng = np.random.default_rng(5)
    expected_wrong: dict[str, set[int]] = {}
    for row in range(1, 301):
        feature = FEATURES[rng.integers(len(FEATURES))]
        value = str(rng.choice(texts if feature.categories else numbers))
        table.loc[row - 1, feature.name] = value
        if not api_accepts(dict(zip(table.columns, table.loc[row - 1], strict=True))):
            expected_wrong.setdefault(feature.name, set()).add(row)
    table.to_csv(tmp_path / "a.csv", index=False)
    wrong: dict[str, set[int]] = {}
    for violation in violations(tmp_path / "a.csv"):
        assert violation.count == len(violation.rows)
        wrong.setdefault(violation.column, set()).update(violation.rows)
    assert wrong == expected_wrong
    assert len(wrong) > 15


def api_accepts(row: dict[str, Any]) -> bool:
    customer: dict[str, Any] = {feature.name: row[feature.name] for feature in FEATURES}
    for feature in FEATURES:
        text = row[feature.name]
        if feature.categories:
            by_lower = {category.lower(): category for category in feature.categories}
            customer[feature.name] = by_lower.get(text.strip().lower(), text.strip())
        else:
            plain = text.isascii() and "_" not in text
            try:
                value = float(text) if plain else text
            except ValueError:
                value = text or None
            if text == "nan" and feature.nullable:
                value = None
            whole = isinstance(value, float) and value.is_integer() and feature.integer
            customer[feature.name] = int(value) if whole else value
    try:
        Customer.model_validate(customer)
    except ValidationError:
        return False
    return True


def test_row_numbers_are_right_across_blocks_and_ragged_rows(
    tmp_path: Path, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 2000)
    for row in (1, 2, 10, 11, 150, 300):
        table.loc[row - 1, "gender"] = "X"
    path = tmp_path / "a.csv"
    table.to_csv(path, index=False)
    lines = path.read_text().splitlines()
    for row in (3, 4, 9, 200):
        lines[row] = "1,2"
    lines[250] += ",one too many"
    path.write_text("\n".join(lines))
    reported = {(v.column, v.value): v.rows for v in violations(path)}
    assert reported == {
        (FILE, "'2 fields'"): (3, 4, 9, 200),
        (FILE, "'22 fields'"): (250,),
        ("gender", "'X'"): (1, 2, 10, 11, 150, 300),
    }


def test_a_file_of_another_shape_is_not_read_to_its_end(tmp_path: Path, customers_csv: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(customers_csv.read_text() + "1,2\n" * 5000)
    (violation,) = violations(path)
    assert violation.count == reading_csv.RAGGED_ROWS_KEPT
    assert violation.rows[0] == 301


def test_row_numbers_are_right_across_parquet_batches(tmp_path: Path, table: pd.DataFrame) -> None:
    many = pd.concat([table] * 300, ignore_index=True)
    many.loc[[0, 70_000, 89_999], "gender"] = "X"
    many.to_parquet(tmp_path / "a.parquet", row_group_size=1000)
    (violation,) = violations(tmp_path / "a.parquet")
    assert violation.rows == (1, 70_001, 90_000)


@pytest.mark.parametrize(
    ("column", "values", "shown"),
    [
        ("gender", pa.array([[{"a": 1}]] * 300), "a column of type list<"),
        ("monthly_charges", pa.array([{"x": 1.0}] * 300), "a column of type struct<x: double>"),
        ("monthly_charges", pa.array([True] * 300), "a column of type bool"),
        ("partner", pa.array([1] * 300), "a column of type int64"),
        ("tenure_months", pa.array([b"1"] * 300), "a column of type binary"),
        ("customer_id", pa.array([1.5] * 300), "'1.5'"),
        ("churned", pa.array([0] * 300, pa.timestamp("s")), "a column of type timestamp"),
        ("gender", pa.nulls(300), "(blank)"),
        ("monthly_charges", pa.array([float("nan")] * 300), "'nan'"),
        ("tenure_months", pa.array([2**63] * 300, pa.uint64()), "'9223372036854775808'"),
    ],
)
def test_parquet_columns_that_cannot_hold_our_values(
    tmp_path: Path, table: pd.DataFrame, column: str, values: pa.Array, shown: str
) -> None:
    columns = {name: pa.array(table[name]) for name in table.columns} | {column: values}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    (violation,) = violations(tmp_path / "a.parquet")
    assert violation.column == column
    assert violation.value.startswith(shown)


def test_parquet_nested_and_doubled_columns(tmp_path: Path, table: pd.DataFrame) -> None:
    names = [*table.columns, "gender", "partner.x", "deep"]
    arrays = [pa.array(table[name]) for name in table.columns]
    arrays += [arrays[1], arrays[2], pa.array([{"gender": "Male", "more": [1, 2]}] * 300)]
    pq.write_table(pa.table(arrays, names=names), tmp_path / "a.parquet")
    assert {(v.column, v.value) for v in violations(tmp_path / "a.parquet")} == {
        ("gender", "2 columns stand for it"), ("'partner.x'", "unknown column"), ("'deep'", "unknown column"),
    }  # fmt: skip


def test_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path, customers_csv: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf" + customers_csv.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\r\n")
    pd.testing.assert_frame_equal(load(str(path)).customers, load(str(customers_csv)).customers)


@pytest.mark.parametrize(
    ("change", "column", "value"),
    [
        (lambda data: data.replace(b"Male", b"Ma\x00le", 1), FILE, "row "),
        (lambda data: data.replace(b"Male", b"M\x81nnlich", 1), FILE, "row "),
        (lambda data: data.split(b"\n")[0], FILE, "no data row"),
        (lambda data: data.split(b"\n")[0] + b"\n\n\n", FILE, "no data row"),
        (lambda _: b"", FILE, "the file is empty"),
        (lambda _: b"\x00" * 100_000, FILE, "line 1: a NUL byte (0x00)"),
        (lambda _: b"x" * 100_000, FILE, "the header has more than 65,536 bytes"),
        (lambda data: data.replace(b"Male", b"M" * 9_000_000, 1), FILE, "a row longer than 4,194,304 bytes"),
        (lambda data: data.replace(b"Male", b"M" * 1_000_000, 1), "gender", "'" + "M" * 59 + "…"),
    ],
)
def test_hostile_csv(
    tmp_path: Path, customers_csv: Path, change: Callable[[bytes], bytes], column: str, value: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(change(customers_csv.read_bytes()))
    (violation,) = violations(path)
    assert violation.column == column
    assert violation.value.startswith(value)


def test_quote_never_closed_is_refused(tmp_path: Path, customers_csv: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(customers_csv.read_bytes().replace(b"\nC00000005,", b'\n"C00000005,', 1))
    assert violations(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:4] + b"not parquet",
        lambda data: data[:-100],
        lambda data: data[:4] + b"\xff" * 300 + data[304:],
    ],
)
def test_broken_parquet(tmp_path: Path, table: pd.DataFrame, change: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.parquet"
    table.to_parquet(path)
    path.write_bytes(change(path.read_bytes()))
    (violation, *_) = violations(path)
    assert violation.column == FILE
    assert violation.value.startswith("unreadable")
    assert violation.expected == "a Parquet file"


def test_parquet_without_rows_or_columns(tmp_path: Path, table: pd.DataFrame) -> None:
    path = tmp_path / "a.parquet"
    table.head(0).to_parquet(path)
    assert [v.value for v in violations(path)] == ["no data row"]
    pq.write_table(pa.table({}), path)
    assert {v.value for v in violations(path)} == {"column is missing"}
