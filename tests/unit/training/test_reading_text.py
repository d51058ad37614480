"""Text files as other programs write them: read with the same values and a word about it, or refused aloud."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from app.contract import Contract, Key, Reading
from app.feature import Constant, Feature
from training import reading_csv
from training.data import DataError, Dataset, load
from training.lines import swallowed
from training.reading_encoding import detect
from training.validate import checked_batches
from training.violations import Findings

CONTRACT = Contract(
    contract=1,
    name="texts",
    key=Key(name="id", letters="unicode", symbols="_.-@+"),
    features=(
        Feature(name="city", type="category", categories=("Köln", "Málaga", "Ruda Śl", "Oslo")),
        Feature(name="region", type="category", categories=("NA", "EU"), blank=Constant(constant="EU")),
        Feature(name="visits", type="integer", minimum=0, maximum=5000),
        Feature(name="balance", type="number", minimum=-1e6, maximum=1e6, blank=Constant(constant=0.0)),
        Feature(name="active", type="boolean"),
    ),
    example={"city": "Oslo", "region": "EU", "visits": 1, "balance": 1.5, "active": True},
)
HEADER = "id,city,region,visits,balance,active"


def read(path: Path, reading: Reading | None = None) -> tuple[list[tuple[Any, ...]], tuple[str, ...]]:
    """The rows, and the notes."""
    findings = Findings(CONTRACT)
    rows: list[tuple[Any, ...]] = []
    for batch in checked_batches(path, CONTRACT, findings, labelled=False, reading=reading):
        ids = batch.ids.to_pylist() if batch.ids is not None else [None] * batch.rows
        rows += zip(ids, *(batch.columns[name].tolist() for name in CONTRACT.names), strict=True)
    findings.raise_if_any(str(path))
    return rows, findings.notes


def refused(path: Path, reading: Reading | None = None) -> str:
    with pytest.raises(DataError) as caught:
        read(path, reading)
    return str(caught.value)


def file(tmp_path: Path, *rows: str, encoding: str = "utf-8", header: str = HEADER, end: str = "\n") -> Path:
    path = tmp_path / "a.csv"
    path.write_bytes((end.join((header, *rows)) + end).encode(encoding))
    return path


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
        (lambda t: ('"sep=,"\n' + t).encode(), "1 line above the header in line 2 did not count"),
        (lambda t: ("Customers of March\n" + t).encode(), "such as 'Customers of March'"),
        (lambda t: ("Customers,,\n\nas of March\n" + t).encode(), "2 lines above the header in line 4 did not count"),
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


def test_a_category_that_looks_like_a_missing_value_is_a_category(tmp_path: Path) -> None:
    rows, notes = read(file(tmp_path, "a,Oslo,NA,5,NA,1", "b,Oslo,NULL,5,1.5,1"))
    assert [row[2] for row in rows] == [0, 1]
    assert [row[4] for row in rows] == [0.0, 1.5]
    assert any("NULL" in note for note in notes)


def test_flags_with_a_decimal_comma(tmp_path: Path) -> None:
    rows, notes = read(file(tmp_path, "a;Oslo;EU;5;1,5;1,00", "b;Oslo;EU;5;1,5;0,00", header=HEADER.replace(",", ";")))
    assert [row[5] for row in rows] == [1.0, 0.0]
    assert "Zeros and ones of active are written with a decimal comma." in notes


def test_cp1252_is_read_where_its_letters_are_certain_and_said(tmp_path: Path) -> None:
    rows, notes = read(file(tmp_path, "Jörg,Köln,EU,5,1.5,1", encoding="cp1252"))
    assert rows == [("Jörg", 0, 1, 5.0, 1.5, 1.0)]
    assert notes == ("The file was read as CSV, Windows-1252 (cp1252), delimiter ','.",)


def test_letters_that_windows_encodings_read_differently_are_refused(tmp_path: Path) -> None:
    path = file(tmp_path, "a,Oslo,EU,5,1.5,1", "Muñoz,Oslo,EU,5,1.5,1", encoding="cp1252")
    message = refused(path)
    assert "id: row 2: 'Muñoz' or 'Muńoz': the file is not UTF-8" in message
    assert "--encoding" in message
    assert read(path, Reading(encoding="cp1252"))[0][1][0] == "Muñoz"
    assert "Ruda" in refused(file(tmp_path, "a,Ruda Śl,EU,5,1.5,1", encoding="cp1250"))
    assert read(file(tmp_path, "a,Málaga,EU,5,1.5,1", encoding="cp1252"))[0][0][1] == 1


@pytest.mark.parametrize("packed", [False, True])
def test_a_byte_that_is_not_utf8_is_named_by_its_row_and_column(tmp_path: Path, *, packed: bool) -> None:
    rows = [f"k{i},Oslo,EU,5,1.5,1" for i in range(55_000)]
    data = "\n".join(["Title", HEADER, rows[0], "", *rows[1:], "k,X\x01,EU,5,1.5,1", "ä,Oslo,EU,5,1.5,1\n"]).encode()
    data = data.replace(b"X\x01", b"K\xf6ln")
    path = tmp_path / "a.csv"
    path.write_bytes(gzip.compress(data, 1) if packed else data)
    message = refused(path)
    assert "row 55,001 (line 55,004), column city: a byte that is not UTF-8 (0xf6; " in message
    path.write_bytes(data.replace("ä".encode(), b"a").replace(b"\xf6", b"\x81"))
    assert "row 55,001 (line 55,004), column city: a byte that is not UTF-8 (0x81; neither" in refused(path)
    path.write_bytes(data.replace("ä".encode(), b"a").replace(b"\xf6", b"\0"))
    assert "row 55,001 (line 55,004), column city: a NUL byte" in refused(path)


def test_an_encoding_that_contradicts_the_bytes(tmp_path: Path) -> None:
    path = file(tmp_path, "a,Köln,EU,5,1.5,1", encoding="utf-8-sig")
    assert "the bytes show UTF-8" in refused(path, Reading(encoding="cp1252"))
    _, sentences = detect(file(tmp_path, "a,Köln,EU,5,1.5,1"), None, Reading(encoding="latin-1"))
    assert sentences == ["The file is valid UTF-8, and was read as Latin-1 because an option says so."]
    assert "row 1 (line 2), column city" in refused(
        file(tmp_path, "a,Köln,EU,5,1.5,1", encoding="cp1252"), Reading(encoding="utf-8")
    )


def test_two_delimiters_that_fit_equally_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x;u,y;v\n" * 1 + "1;2,3;4\n" * 120)
    message = refused(path)
    assert "the columns may be separated by ',' (2 columns: x;u, y;v) or ';' (3 columns: x, u,y, v)" in message
    assert "--delimiter" in message
    assert "--delimiter" not in refused(path, Reading(delimiter=";"))


def test_one_quote_that_is_never_closed_swallows_no_row(tmp_path: Path) -> None:
    rows = [f"k{i},Oslo,EU,5,1.5,1" for i in range(30)]
    rows[10] = '"k10,Oslo,EU,5,1.5,1'
    rows[20] = 'k20",Oslo,EU,5,1.5,1'
    assert "line 12: a quoted value goes on over the rows below it" in refused(file(tmp_path, *rows))


def test_a_value_of_several_lines_is_no_swallowed_row(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text('1,"one\ntwo"\n2,"x\n3,y"\n')
    with path.open("rb") as lines:
        assert swallowed(lines, 2, before=1) == 4


@pytest.mark.parametrize("mark", [",", ";"])
def test_a_million_quotes_end_in_time(tmp_path: Path, mark: str) -> None:
    path = file(tmp_path, "a" + mark + '"' * 1_000_001, "b,Oslo,EU,5,1.5,1")
    assert refused(path)


@pytest.mark.parametrize("change", [lambda d: d[:-50], lambda d: d[:30] + b"\0\0\0" + d[33:]])
def test_a_damaged_archive_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    rows = "\n".join([HEADER, *(f"k{i},Oslo,EU,{i % 97},1.5,1" for i in range(20_000))]).encode()
    for data in (gzip.compress(rows), pa.compress(rows, codec="zstd", asbytes=True)):
        (tmp_path / "a.csv").write_bytes(change(data))
        assert refused(tmp_path / "a.csv")


def test_a_header_that_claims_a_gigabyte_is_refused(tmp_path: Path) -> None:
    """A zstd frame with a window of 1 GiB, which a decoder would have to hold."""
    (tmp_path / "a.csv").write_bytes(b"\x28\xb5\x2f\xfd\x00\xa0" + b"\x01\x00\x00" * 10)
    assert "unreadable" in refused(tmp_path / "a.csv")


def test_doubled_columns_are_named(tmp_path: Path) -> None:
    path = file(tmp_path, "a,Oslo,EU,5,1.5,1,Oslo", header=HEADER + ",city")
    assert "city: 2 columns stand for it; expected one" in refused(path)


def test_text_under_the_name_of_another_format_is_said(tmp_path: Path) -> None:
    path = file(tmp_path, "a,Oslo,EU,5,1.5,1").rename(tmp_path / "a.parquet")
    assert read(path)[1] == ("The file was read as CSV, UTF-8, delimiter ','.",)


def test_percent_signs_are_refused_with_both_meanings(tmp_path: Path) -> None:
    message = refused(file(tmp_path, "a,Oslo,EU,5,12 %,1"))
    assert "1 value of balance has a percent sign (12 %): write the number alone, as a share (0.12) or" in message
