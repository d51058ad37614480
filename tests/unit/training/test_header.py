"""The first line of a CSV file, and files that are not what their names say."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather

from training import formats
from training.data import DataError, Violation, load


def refused(path: Path) -> Violation:
    with pytest.raises(DataError) as caught:
        load(str(path))
    (violation,) = caught.value.violations
    return violation


def zipped(name: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, "x" * 200_000)
    return content.getvalue()


def as_feather(data: bytes) -> bytes:
    content = io.BytesIO()
    feather.write_feather(pd.read_csv(io.BytesIO(data)), content)
    return content.getvalue()


def as_parquet(data: bytes) -> bytes:
    return pd.read_csv(io.BytesIO(data)).to_parquet()


FORMATS: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("gzip", gzip.compress, "unpack the file first"),
    ("zstd", lambda data: pa.compress(data, codec="zstd", asbytes=True), "unpack the file first"),
    ("bzip2", bz2.compress, "unpack the file first"),
    ("xz", lzma.compress, "unpack the file first"),
    ("a zip archive", lambda _: zipped("customers.csv"), "unpack the file first"),
    ("an Excel workbook (.xlsx)", lambda _: zipped("xl/workbook.xml"), "open it in the spreadsheet program"),
    ("an old Excel workbook (.xls)", lambda _: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 99, "open it in the"),
    ("Arrow (Feather)", as_feather, "export the table as CSV or Parquet"),
    ("UTF-16 text", lambda data: data.decode().encode("utf-16"), "save it as UTF-8"),
    ("UTF-16 text", lambda data: data.decode().encode("utf-16-le"), "save it as UTF-8"),
    ("UTF-16 text", lambda data: data.decode().encode("utf-16-be"), "save it as UTF-8"),
    ("UTF-32 text", lambda data: data.decode().encode("utf-32"), "save it as UTF-8"),
    ("HTML", lambda _: b"\n<!DOCTYPE html><html></html>", "export the table as CSV or Parquet"),
    ("HTML", lambda _: b"<table><tr><td>1</td></tr></table>", "export the table as CSV or Parquet"),
    ("XML", lambda _: b"\xef\xbb\xbf<?xml version='1.0'?><Workbook/>", "export the table as CSV or Parquet"),
    ("JSON", lambda _: b'[\n {"gender": "Male"}]', "export the table as CSV or Parquet"),
    ("JSON", lambda _: b'{"gender": "Male"}\n{"gender": "Male"}', "export the table as CSV or Parquet"),
    ("PDF", lambda _: b"%PDF-1.7\n%", "export the table as CSV or Parquet"),
]


@pytest.mark.parametrize("extension", [".csv", ".parquet"])
@pytest.mark.parametrize("case", FORMATS, ids=[f"{number}-{case[0]}" for number, case in enumerate(FORMATS)])
def test_other_format_is_named(
    tmp_path: Path, customers_csv: Path, case: tuple[str, Callable[[bytes], bytes], str], extension: str
) -> None:
    name, change, remedy = case
    path = tmp_path / f"a{extension}"
    path.write_bytes(change(customers_csv.read_bytes()))
    violation = refused(path)
    assert violation.value == f"the content is {name}, not {'CSV' if extension == '.csv' else 'Parquet'}"
    assert violation.cause == "other-format"
    assert violation.hint.startswith(remedy)


def test_csv_and_parquet_under_the_name_of_the_other(tmp_path: Path, customers_csv: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(customers_csv.read_bytes())
    violation = refused(tmp_path / "a.parquet")
    assert (violation.value, violation.hint) == ("the content is CSV, not Parquet", "give the file the extension .csv")
    (tmp_path / "a.csv").write_bytes(as_parquet(customers_csv.read_bytes()))
    violation = refused(tmp_path / "a.csv")
    assert (violation.value, violation.hint) == (
        "the content is Parquet, not CSV",
        "give the file the extension .parquet",
    )


@pytest.mark.parametrize(
    ("name", "change", "hint"),
    [
        ("a.csv.gz", gzip.compress, "unpack the file first"),
        ("a.xlsx", lambda _: zipped("xl/workbook.xml"), "open it in the spreadsheet program"),
        ("a.txt", lambda data: data, "give a CSV file the extension .csv"),
        ("a.json", lambda _: b'[{"gender": "Male"}]', "export the table as CSV or Parquet"),
        ("a.txt", lambda _: b"x", ""),
    ],
)
def test_another_extension_gets_the_remedy_for_its_content(
    tmp_path: Path, customers_csv: Path, name: str, change: Callable[[bytes], bytes], hint: str
) -> None:
    (tmp_path / name).write_bytes(change(customers_csv.read_bytes()))
    violation = refused(tmp_path / name)
    assert violation.value == f"the extension is {Path(name).suffix}"
    assert violation.hint.startswith(hint)
    assert bool(violation.hint) == bool(hint)


@pytest.mark.parametrize(
    "content", [b"gender,partner\n", b"PK,x\n", b"[a],{b}\n", b"<5,>5\n", b"\x00" * 50, b"a\x00b\x00", b"", b"BZ,h"]
)
def test_what_may_be_csv_has_no_other_format(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert formats.real_format(tmp_path / "a") is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: t.replace(",", ";"), ("delimiter", "the columns are separated by ';'", "save it with commas")),
        (lambda t: t.replace(",", "\t"), ("delimiter", "the columns are separated by '\\t'", "save it with commas")),
        (lambda t: t.replace(",", "|"), ("delimiter", "the columns are separated by '|'", "save it with commas")),
        (
            lambda t: t.replace(",", ";").replace("gender", "gender, F or M"),
            ("delimiter", "the columns are", "save it"),
        ),
        (
            lambda t: "sep=;\n" + t.replace(",", ";"),
            ("sep-line", "the first line is Excel's 'sep=;', and", "remove the"),
        ),
        (lambda t: '"sep=,"\n' + t, ("sep-line", "the first line is Excel's", "remove the first line")),
        (lambda t: "SEP=,\r\n" + t, ("sep-line", "the first line is Excel's", "remove the first line")),
        (
            lambda t: "Report;;\n" + t.replace(",", ";"),
            ("title-line", "the header is in line 2", "remove the first line"),
        ),
        (lambda t: '"' + t.replace("\n", '"\n"'), ("quoted-lines", "each line is one value", "remove the quotes")),
        (lambda t: t.split("\n", 1)[1], ("no-header", "the first line has values (", "add a first line")),
        (lambda t: "\n" + t, ("blank-header", "the first line is blank", "remove the first line")),
    ],
)
def test_a_first_line_that_is_not_a_header(
    tmp_path: Path, customers_csv: Path, change: Callable[[str], str], expected: tuple[str, str, str]
) -> None:
    cause, value, hint = expected
    path = tmp_path / "a.csv"
    path.write_text(change(customers_csv.read_text()))
    violation = refused(path)
    assert violation.cause == cause
    assert violation.value.startswith(value)
    assert violation.hint.startswith(hint)


def test_decimal_commas_are_mentioned_only_where_they_are(tmp_path: Path, customers_csv: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(customers_csv.read_text().replace(",", ";"))
    assert refused(path).hint == "save it with commas between the columns"
    path.write_text(customers_csv.read_text().replace(",", ";").replace(".", ","))
    assert "looks like a decimal comma" in refused(path).hint


def test_a_customer_in_the_first_lines_is_not_a_title(tmp_path: Path, table: pd.DataFrame) -> None:
    """Values that are names of columns do not turn a line into a header."""
    table.loc[0, ["customer_id", "gender", "partner"]] = ["gender", "contract", "tenure"]
    table.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError) as caught:
        load(str(tmp_path / "a.csv"))
    assert {v.column for v in caught.value.violations} == {"gender", "partner"}


def test_a_column_named_like_a_category_is_not_a_missing_header(tmp_path: Path, table: pd.DataFrame) -> None:
    table.assign(Male="1").to_csv(tmp_path / "a.csv", index=False)
    assert refused(tmp_path / "a.csv").cause == "unknown-column"


def test_a_row_that_is_too_wide_and_long_is_only_counted(tmp_path: Path, customers_csv: Path) -> None:
    """Python's CSV reader accepts no field of more than 131,072 characters."""
    (tmp_path / "a.csv").write_text(customers_csv.read_text() + "x" * 200_000 + "," * 21 + "1\n")
    violation = refused(tmp_path / "a.csv")
    assert (violation.value, violation.rows, violation.lines) == ("'22 fields'", (301,), (302,))
