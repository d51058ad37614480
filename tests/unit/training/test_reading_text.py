"""Text files as other programs write them: read with the same values and a note, or refused with a message."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from support.messy_texts import HEADER, file, read, refused

from app.contract import Reading
from training import reading_csv
from training.data import Dataset, load
from training.violations import Batches


@pytest.fixture
def clean(customers_csv: Path) -> Dataset:
    return load(str(customers_csv))


def semicolons(text: str) -> str:
    return text.replace(",", ";").replace(".", ",")


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda t: gzip.compress(t.encode()), "read as gzip-compressed CSV, UTF-8, delimiter ','."),
        (lambda t: pa.compress(t.encode(), codec="zstd", asbytes=True), "read as zstd-compressed CSV, UTF-8"),
        (lambda t: gzip.compress(semicolons(t).encode()), "gzip-compressed CSV, UTF-8, delimiter ';', decimal ','."),
        (lambda t: t.encode("utf-16"), "read as CSV, UTF-16, delimiter ','."),
        (lambda t: t.encode("utf-16-le"), "read as CSV, UTF-16, delimiter ','."),
        (lambda t: t.encode("utf-16-be"), "read as CSV, UTF-16, delimiter ','."),
        (lambda t: t.replace(",", "\t").encode(), r"delimiter '\t'."),
        (lambda t: t.replace(",", "|").encode(), "delimiter '|'."),
        (lambda t: ("sep=;\r\n" + semicolons(t)).encode(), "decimal ','."),
        (lambda t: ('"sep=,"\n' + t).encode(), "1 line above the header in line 2 was ignored: '\"sep=,\"'."),
        (lambda t: ("Customers of March\n" + t).encode(), "was ignored: 'Customers of March'."),
        (
            lambda t: ("Customers,,\n\nas of March\n" + t).encode(),
            "2 lines above the header in line 4 were ignored, the first of them 'Customers'.",
        ),
        (lambda t: ("\ufeff" + t).encode(), ""),
        (lambda t: t.replace("\n", "\r").encode(), ""),
        (lambda t: ("\n\n" + t).encode(), ""),
        (lambda t: t.replace("gender,", " gender  ,").encode(), ""),
    ],
)
def test_the_same_customers_written_otherwise(
    tmp_path: Path, customers_csv: Path, clean: Dataset, change: Callable[[str], bytes], note: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(change(customers_csv.read_text()))
    data = load(str(path))
    assert data.customers.equals(clean.customers)
    assert note in " ".join(data.notes)
    assert bool(data.notes) == bool(note)


def test_row_names_of_r_are_left_out_with_a_note(tmp_path: Path) -> None:
    path = file(tmp_path, '"1","a","Oslo","EU",5,1.5,1', '"2","b","Oslo","NA",5,2.25,0', header=HEADER)
    rows, notes = read(path)
    assert rows == [("a", 3, 1, 5.0, 1.5, 1.0), ("b", 3, 0, 5.0, 2.25, 0.0)]
    assert notes == ("The first column, for which the header has no name, holds R's row names.",)


def test_rows_one_wider_than_the_header_may_be_split_numbers(tmp_path: Path) -> None:
    """The first column counts the rows, but so could ids, if each balance has a decimal comma."""
    path = file(tmp_path, "1,Oslo,EU,5,1,5,1", "2,Oslo,EU,5,2,5,1", header=HEADER)
    assert "a number without commas, in a row of 6 fields" in refused(path)


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1.234,5", "7"], [1234.5, 7.0]),
        (["1,234.5", "7"], [1234.5, 7.0]),
        (["1,5", "1.234"], [1.5, 1234.0]),
        (["1.5", "1,234"], [1.5, 1234.0]),
        (["1.234.567,5", "12.345.678,25"], None),
        (["1 234,50", "2\u202f345,50"], [1234.5, 2345.5]),
        (["1\u00a0234", "12"], [1234.0, 12.0]),
        (["1'234.5", "1\u2019234.5"], [1234.5, 1234.5]),
        (["€ 12.50", "12.75 EUR"], [12.5, 12.75]),
        (["-$1,234.50", "US$5"], [-1234.5, 5.0]),
        (["0,123", "5"], [0.123, 5.0]),
        (["1234,567", "5"], [1234.567, 5.0]),
        (["0E-10", "1.00"], [0.0, 1.0]),
        (["1e3", "2.5e-1"], [1000.0, 0.25]),
        (["NULL", "#N/A"], [0.0, 0.0]),
        (["123,456", "1"], None),
        (["123.456", "1"], None),
        (["1,234", "1.234"], None),
        (["1.5", "1,5"], None),
        (["1,5", "1.5"], None),
        (["1.5", "0,123"], None),
        (["12 %", "1"], None),
        (["1,23,456.5", "1"], None),
        (["12,34,5", "1"], None),
        (["--5", "1"], None),
        (["5-", "1"], None),
        ([".", "1"], None),
        (["١٢", "1"], None),
    ],
)
def test_marks_of_numbers(tmp_path: Path, texts: list[str], values: list[float] | None) -> None:
    path = file(tmp_path, *(f'a;Oslo;EU;5;"{text}";1' for text in texts), header=HEADER.replace(",", ";"))
    if values is None:
        assert "balance" in refused(path)
    else:
        assert [row[4] for row in read(path)[0]] == values


@pytest.mark.parametrize(
    ("text", "reading", "value"),
    [
        ("1.234", Reading(decimal="."), 1.234),
        ("1.234", Reading(decimal=","), 1234.0),
        ("1,234", Reading(decimal=","), 1.234),
        ("1,234", Reading(decimal="."), 1234.0),
        ("1,234", Reading(thousands=","), 1234.0),
        ("1,234", Reading(thousands="."), 1.234),
        ("1.234", Reading(thousands=""), 1.234),
        ("1.234", Reading(decimal=",", thousands=""), None),
        ("12.5", Reading(decimal=","), None),
        ("0,5", Reading(decimal="."), None),
    ],
)
def test_an_option_decides(tmp_path: Path, text: str, reading: Reading, value: float | None) -> None:
    path = file(tmp_path, f'a,Oslo,EU,5,"{text}",1')
    if value is None:
        assert text in refused(path, reading)
    else:
        assert [row[4] for row in read(path, reading)[0]] == [value]


def test_two_readings_are_named_with_the_option(tmp_path: Path) -> None:
    path = file(tmp_path, "a,Oslo,EU,5,7,1", 'b,Oslo,EU,5,"1,234",1')
    message = refused(path)
    assert "balance: '1,234' in row 2 is 1.234 or 1234" in message
    assert "--decimal" in message


@pytest.mark.parametrize(("text", "value"), [("1.234", 1234.0), ("5.000", None), ("4,999", 4999.0), ("6.000", 6.0)])
def test_bounds_exclude_a_reading(tmp_path: Path, text: str, value: float | None) -> None:
    path = file(tmp_path, f'a,Oslo,EU,"{text}",1,1')
    if value is None:
        assert f"visits: '{text}' in row 1 is" in refused(path)
    else:
        assert [row[3] for row in read(path)[0]] == [value]


def test_marks_that_only_a_later_block_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a mark means is decided by the whole file, and not by the block that is read."""
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 2000)
    rows = [f"k{i};Oslo;EU;5;1.234;1" for i in range(300)]
    path = file(tmp_path, *rows, "z;Oslo;EU;5;1.234,5;1", header=HEADER.replace(",", ";"))
    assert {row[4] for row in read(path)[0]} == {1234.0, 1234.5}
    path = file(tmp_path, *rows, "z;Oslo;EU;5;1.5;1", header=HEADER.replace(",", ";"))
    assert {row[4] for row in read(path)[0]} == {1.234, 1.5}
    assert "1.234 or 1234" in refused(file(tmp_path, *rows, header=HEADER.replace(",", ";")))


def test_the_whole_file_is_looked_at_once_for_all_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many blocks have commas that contradict the points before them."""
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 500)
    looks: list[list[str]] = []
    rescan = reading_csv.CsvTable._rescan

    def counted(table: reading_csv.CsvTable, names: Sequence[str]) -> Batches:
        looks.append(list(names))
        return rescan(table, names)

    monkeypatch.setattr(reading_csv.CsvTable, "_rescan", counted)
    rows = ["a;Oslo;EU;5.0;1.5;1", *("k;Oslo;EU;5,0;1,5;1" for _ in range(300))]
    message = refused(file(tmp_path, *rows, header=HEADER.replace(",", ";")))
    assert "600 problems (1 cause)" in message
    assert looks == [["visits", "balance"]]


def test_a_category_that_looks_like_a_missing_value_is_a_category(tmp_path: Path) -> None:
    rows, notes = read(file(tmp_path, "a,Oslo,NA,5,NA,1", "b,Oslo,NULL,5,1.5,1"))
    assert [row[2] for row in rows] == [0, 1]
    assert [row[4] for row in rows] == [0.0, 1.5]
    assert any("NULL" in note for note in notes)


def test_flags_with_a_decimal_comma(tmp_path: Path) -> None:
    rows, notes = read(file(tmp_path, "a;Oslo;EU;5;1,5;1,00", "b;Oslo;EU;5;1,5;0,00", header=HEADER.replace(",", ";")))
    assert [row[5] for row in rows] == [1.0, 0.0]
    assert "Zeros and ones of active are written with a decimal comma." in notes
