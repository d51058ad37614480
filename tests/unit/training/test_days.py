"""The days of as_of: every unambiguous way of writing them is read, and any other is refused with its rows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook
from support.contracts import small_bank, small_bank_customers

from app.contract import Contract
from training.contract_rows import RowsConfig, write
from training.data import DataError, Dataset, load
from training.days import DayColumn
from training.violations import Findings

BANK = small_bank()


def read(*batches: pa.Array) -> tuple[list[str], Findings]:
    """The days of a column that comes in batches, as texts, and what was noted about it."""
    findings = Findings(BANK)
    column, row = DayColumn("day", findings), 1
    for batch in batches:
        column.add(batch, np.arange(row, row + len(batch)))
        row += len(batch)
    days = column.days()
    return ([] if days is None else [str(day) for day in days]), findings


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["2026-01-31", " 2026-02-01 "], ["2026-01-31", "2026-02-01"]),
        (["2026-01-31 23:59:59", "2026-02-01T00:00Z"], ["2026-01-31", "2026-02-01"]),
        (["2026-01-31T23:30:00.123456+02:00", "2026-02-01 01:00:00 UTC"], ["2026-01-31", "2026-02-01"]),
        (["2026/1/5", "2026.12.06"], ["2026-01-05", "2026-12-06"]),
        (["01/02/2026", "31/01/2026"], ["2026-02-01", "2026-01-31"]),
        (["01/02/2026", "01/31/2026"], ["2026-01-02", "2026-01-31"]),
        (["1.2.2026 10:00", "13.2.2026 11:00"], ["2026-02-01", "2026-02-13"]),
        (["05/05/2026", "06/06/2026"], ["2026-05-05", "2026-06-06"]),
        (["29.02.2024", "1900-01-01"], ["2024-02-29", "1900-01-01"]),
    ],
)
def test_texts_that_can_be_read_in_one_way(texts: list[str], expected: list[str]) -> None:
    assert read(pa.array(texts))[0] == expected
    assert read(pa.array(texts).dictionary_encode())[0] == expected


def test_a_later_batch_decides_the_order_of_earlier_ones() -> None:
    days, findings = read(pa.array(["01/02/2026"]), pa.array(["03/04/2026", "2026-05-06"]), pa.array(["31/12/2026"]))
    assert days == ["2026-02-01", "2026-04-03", "2026-05-06", "2026-12-31"]
    assert findings.notes == ("Days of day were read with the day first: '31/12/2026'.",)
    _, findings = read(pa.array(["12/31/2026"]))
    assert findings.notes == ("Days of day were read with the month first: '12/31/2026'.",)
    assert read(pa.array(["2026-01-01"]))[1].notes == ()


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([date(2026, 1, 31)]), "2026-01-31"),
        (pa.array([date(2026, 1, 31)], pa.date64()), "2026-01-31"),
        (pa.array([datetime(2026, 1, 31, 23, 59)], pa.timestamp("ns")), "2026-01-31"),  # noqa: DTZ001 - without a zone
        (pa.array([datetime(1969, 12, 31, 23)], pa.timestamp("s")), "1969-12-31"),  # noqa: DTZ001 - likewise
        # 23:30 in UTC is the next day in Berlin, where it was written.
        (pa.array([datetime(2026, 1, 31, 23, 30, tzinfo=UTC)], pa.timestamp("us", "Europe/Berlin")), "2026-02-01"),
        (pa.array([datetime(2026, 1, 31, 23, 30, tzinfo=UTC)], pa.timestamp("us", "UTC")), "2026-01-31"),
    ],
)
def test_dates_and_timestamps_of_parquet(column: pa.Array, expected: str) -> None:
    assert read(column)[0] == [expected]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            ["01/02/2026", "01/03/2026"],
            "day: '01/02/2026' can be 1 February 2026 or 2 January 2026, and no day above 12",
        ),
        (["01.02.2026", "2026-01-31"], "write days with the year first, as in 2026-01-31"),
        (["31/01/2026", "01/31/2026"], "'31/01/2026' has the day first, and '01/31/2026' the month"),
        (["2026-01-01", "2026-02-30"], "row 2: '2026-02-30'; expected a day such as 2026-01-31"),
        (["2026-01-01", "31/02/2026", "31/01/26", "20260131", "46053", "Jan 2026"], "rows 2: '31/02/2026'"),
        (["0026-01-01"], "row 1: '0026-01-01'"),
        (["2026-01-01", "", " "], "rows 2, 3: (blank)"),
    ],
)
def test_other_texts_are_refused_with_the_remedy(texts: list[str], message: str) -> None:
    days, findings = read(pa.array(texts))
    assert days == []
    with pytest.raises(DataError) as error:
        findings.raise_if_any("a.csv")
    assert message.replace("rows 2: '31", "row 2: '31") in str(error.value)
    wrong = [text for text in texts[1:] if text in {"31/01/26", "20260131", "46053", "Jan 2026"}]
    assert all(repr(text) in str(error.value) for text in wrong)


def test_a_null_is_blank() -> None:
    _, findings = read(pa.array([date(2026, 1, 1), None]))
    assert [(v.rows, v.value) for v in findings.violations()] == [((2,), "(blank)")]


def bank(day: str | int) -> pd.DataFrame:
    frame = small_bank_customers(40, 1)
    frame["day"] = day
    return frame


def loaded(path: Path, *, dated: bool = True, contract: Contract = BANK) -> Dataset:
    return load(str(path), contract, dated=dated)


def test_a_file_of_each_format_has_its_days(tmp_path: Path) -> None:
    frame = bank("2026-03-01")
    frame.loc[7, "day"] = "2026-03-02"
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.assign(day=pd.to_datetime(frame["day"])).to_parquet(tmp_path / "a.parquet")
    book = Workbook()
    assert book.active is not None
    book.active.append(list(frame.columns))
    for row in frame.assign(day=pd.to_datetime(frame["day"])).itertuples(index=False):
        book.active.append([None if pd.isna(value) else value for value in row])
    book.save(tmp_path / "a.xlsx")
    for name in ("a.csv", "a.parquet", "a.xlsx"):
        days = loaded(tmp_path / name).days
        assert days is not None
        assert (str(days.dtype), str(days[6]), str(days[7])) == ("datetime64[D]", "2026-03-01", "2026-03-02"), name


def test_parts_and_the_key_of_a_partition_have_days(tmp_path: Path) -> None:
    for day in ("2026-01-01", "2026-02-01"):
        folder = tmp_path / f"day={day}"
        folder.mkdir()
        pq.write_table(pa.Table.from_pandas(small_bank_customers(20, 3), preserve_index=False), folder / "a.parquet")
    days = loaded(tmp_path).days
    assert days is not None
    assert np.unique(days).astype(str).tolist() == ["2026-01-01", "2026-02-01"]


def test_days_are_ignored_unless_they_are_needed(tmp_path: Path) -> None:
    bank("nonsense").to_csv(tmp_path / "a.csv", index=False)
    assert loaded(tmp_path / "a.csv", dated=False).days is None
    with pytest.raises(DataError, match=r"day: rows 1, 2.* and 30 more .*'nonsense'; expected a day"):
        loaded(tmp_path / "a.csv")


def test_a_missing_column_and_one_of_another_type_are_refused(tmp_path: Path) -> None:
    bank("x").drop(columns="day").to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match="day: column is missing; expected a day such as"):
        loaded(tmp_path / "a.csv")
    bank(20260131).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="day: a column of type int64; expected a day such as"):
        loaded(tmp_path / "a.parquet")


def test_a_column_in_another_case_is_recognised(tmp_path: Path) -> None:
    bank("2026-01-31").rename(columns={"day": "Day"}).to_csv(tmp_path / "a.csv", index=False)
    days = loaded(tmp_path / "a.csv").days
    assert days is not None
    assert {str(day) for day in days} == {"2026-01-31"}


def test_generated_customers_have_days_that_can_be_split(tmp_path: Path) -> None:
    write(BANK, RowsConfig(rows=500), str(tmp_path / "a.csv"))
    days = loaded(tmp_path / "a.csv").days
    assert days is not None
    assert len(np.unique(days)) > 200
