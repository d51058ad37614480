"""Excel workbooks: read whatever their name says, and refused before they can exhaust memory."""

from __future__ import annotations

import io
import resource
import zipfile
from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from app.contract import Reading
from training import reading_workbook, reading_xlsx
from training.data import DataError, load
from training.reading_workbook import text_of


def saved(path: Path, rows: Sequence[Sequence[Any]], **sheets: Sequence[Sequence[Any]]) -> str:
    book = openpyxl.Workbook()
    for title, content in {"Customers": rows, **sheets}.items():
        table = book.create_sheet(title)
        for row in content:
            table.append(row)
    del book["Sheet"]
    book.save(path)
    return str(path)


@pytest.fixture
def rows(table: pd.DataFrame) -> list[list[Any]]:
    """The header and the customers with numbers in the cells of numbers."""
    typed = table.head(40).copy()
    for name in ("tenure_months", "senior_citizen", "monthly_charges", "churned"):
        typed[name] = pd.to_numeric(typed[name])
    typed["total_charges"] = [float(text) if text else None for text in typed["total_charges"]]
    return [list(typed.columns), *typed.astype(object).where(typed.notna(), None).to_numpy().tolist()]


def refused(source: str, reading: Reading | None = None) -> str:
    with pytest.raises(DataError) as caught:
        load(source, reading=reading)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.xlsx", "a.csv"])
def test_a_workbook_is_read_like_the_text_of_it(tmp_path: Path, customers_csv: Path, rows: Any, name: str) -> None:
    clean = load(str(customers_csv)).customers.head(40)
    above = [["Customers of March"], [], *rows[:10], [], *rows[10:]]
    data = load(saved(tmp_path / name, above, Other=[["x"]]))
    assert data.customers.equals(clean)
    assert data.notes == (
        "The file was read as an Excel workbook, sheet 'Customers', the first of 2.",
        "Cells above the header in row 3 were ignored, such as 'Customers of March'.",
    )
    assert load(str(tmp_path / name), reading=Reading(sheet="Customers")).customers.equals(clean)
    assert "no sheet 'Else'; expected one of 'Customers', 'Other'" in refused(
        str(tmp_path / name), Reading(sheet="Else")
    )


def test_texts_in_number_columns_are_read_as_text_and_cells_are_exact(tmp_path: Path, rows: Any) -> None:
    at = rows[0].index("total_charges")
    rows[1][at], rows[2][at], rows[3][at] = 1.234, "1.234,50 €", "12,5"
    assert load(saved(tmp_path / "a.xlsx", rows)).customers["total_charges"].head(3).tolist() == [1.234, 1234.5, 12.5]
    rows[3][at] = rows[2][at] = "1.234"
    message = refused(saved(tmp_path / "a.xlsx", rows))
    assert "total_charges: '1.234' in row 2 is 1.234 or 1234: every mark in the column stands before exactly" in message


def test_sizes_and_formulas_are_checked_once(tmp_path: Path, rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not again for the data rows and for the decimal marks, which only the whole sheet decides."""
    checks: list[str] = []

    def counted(name: str, check: Callable[..., None], *arguments: Any) -> None:
        checks.append(name)
        check(*arguments)

    for name in ("_check_sizes", "_check_formulas"):
        monkeypatch.setattr(reading_workbook, name, partial(counted, name, getattr(reading_workbook, name)))
    rows[1][rows[0].index("total_charges")] = "1.234,50"
    load(saved(tmp_path / "a.xlsx", rows))
    assert checks == ["_check_sizes", "_check_formulas"]


def test_messages_name_the_row_of_the_sheet(tmp_path: Path, rows: Any) -> None:
    rows[20][rows[0].index("gender")] = "X"
    rows[30].append("beside")
    message = refused(saved(tmp_path / "a.xlsx", [["Title"], *rows[:5], [], *rows[5:]]))
    assert "gender: row 20 (line 23): 'X'" in message
    assert "(file): row 30 (line 33): '22 cells'; expected at most 21 cells" in message


def test_ids_that_excel_has_rounded_are_refused(tmp_path: Path, rows: Any) -> None:
    rows[3][rows[0].index("customer_id")] = 12345678901234567
    assert "customer_id: row 3: 12345678901234570; expected ids as text" in refused(saved(tmp_path / "a.xlsx", rows))


def test_a_formula_without_a_stored_result_is_refused_and_not_blank(tmp_path: Path, rows: Any) -> None:
    rows[3][rows[0].index("total_charges")] = "=1+1"
    assert "formulas whose results are not stored" in refused(saved(tmp_path / "a.xlsx", rows))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "TRUE"), (5, "5"), (5.0, "5"), (5.25, "5.25"), (1e300, "1e+300"), (date(2026, 3, 1), "2026-03-01"),
        (datetime.fromisoformat("2026-03-01"), "2026-03-01"),
        (datetime.fromisoformat("2026-03-01 12:30"), "2026-03-01 12:30:00"),
    ],
)  # fmt: skip
def test_the_text_of_a_cell(value: object, text: str) -> None:
    assert text_of(value) == text


def test_a_cell_in_the_last_column_takes_no_memory(tmp_path: Path, rows: Any) -> None:
    book = openpyxl.Workbook()
    table: Any = book.active
    for row in rows:
        table.append(row)
    table["XFD200000"] = "far"
    book.save(tmp_path / "a.xlsx")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    message = refused(str(tmp_path / "a.xlsx"))
    assert "(file): row 41 (line 200000): '16384 cells'; expected at most 21 cells" in message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_a_bomb_is_refused_by_its_sizes(tmp_path: Path, rows: Any) -> None:
    path = Path(saved(tmp_path / "a.xlsx", rows))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/more.xml", "w") as more:
        for _ in range(40):
            more.write(b" " * 1024 * 1024)
    assert "xl/more.xml unpacks to 1,0" in refused(str(path))


def test_a_part_that_claims_too_much_is_refused(tmp_path: Path, rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_workbook, "PART_BYTES", 500)
    assert "unpacks to 0 MiB, as in a file made to exhaust memory" in refused(saved(tmp_path / "a.xlsx", rows))


def test_entities_are_refused(tmp_path: Path, rows: Any) -> None:
    path = Path(saved(tmp_path / "a.xlsx", rows))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xl/evil.xml", '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "b">]><a>&b;</a>')
    assert "xl/evil.xml defines entities" in refused(str(path))


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "[Content_Types].xml"])
def test_a_damaged_workbook_is_refused(tmp_path: Path, rows: Any, part: str) -> None:
    good = zipfile.ZipFile(saved(tmp_path / "a.xlsx", rows))
    content = io.BytesIO()
    with good, zipfile.ZipFile(content, "w") as bad:
        for name in good.namelist():
            bad.writestr(name, good.read(name)[:-40] if name == part else good.read(name))
    (tmp_path / "b.xlsx").write_bytes(content.getvalue())
    assert "unreadable" in refused(str(tmp_path / "b.xlsx"))
    (tmp_path / "b.xlsx").write_bytes((tmp_path / "a.xlsx").read_bytes()[:-200])
    assert refused(str(tmp_path / "b.xlsx"))


def test_rows_far_apart_end_the_reading(tmp_path: Path, rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_xlsx, "BLANK_ROWS", 100)
    book = openpyxl.load_workbook(saved(tmp_path / "a.xlsx", rows))
    table: Any = book.active
    table["A1000"] = "lost"
    book.save(tmp_path / "a.xlsx")
    assert "blank rows" in refused(str(tmp_path / "a.xlsx"))


def test_a_workbook_without_a_table(tmp_path: Path) -> None:
    assert "sheet 'Customers' is empty" in refused(saved(tmp_path / "a.xlsx", []))
    assert "has values, not column names" in refused(saved(tmp_path / "a.xlsx", [["Male", "Yes", 3]]))
