"""What a file is by its content, and headers that cannot be read."""

from __future__ import annotations

import bz2
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
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


FORMATS: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("bzip2", bz2.compress, "unpack the file first"),
    ("xz", lzma.compress, "unpack the file first"),
    ("a zip archive", lambda _: zipped("customers.csv"), "unpack the file first"),
    ("an old Excel workbook (.xls)", lambda _: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 99, "open it in the"),
    ("Arrow (Feather)", as_feather, "export the table as CSV or Parquet"),
    ("UTF-32 text", lambda data: data.decode().encode("utf-32"), "save it as UTF-8"),
    ("HTML", lambda _: b"\n<!DOCTYPE html><html></html>", "export the table as CSV or Parquet"),
    ("HTML", lambda _: b"<table><tr><td>1</td></tr></table>", "export the table as CSV or Parquet"),
    ("XML", lambda _: b"\xef\xbb\xbf<?xml version='1.0'?><Workbook/>", "export the table as CSV or Parquet"),
    ("JSON", lambda _: b'[\n {"gender": "Male"}]', "export the table as CSV or Parquet"),
    ("JSON", lambda _: b'{"gender": "Male"}\n{"gender": "Male"}', "export the table as CSV or Parquet"),
    ("PDF", lambda _: b"%PDF-1.7\n%", "export the table as CSV or Parquet"),
]


@pytest.mark.parametrize("extension", [".csv", ".parquet", ""])
@pytest.mark.parametrize("case", FORMATS, ids=[f"{number}-{case[0]}" for number, case in enumerate(FORMATS)])
def test_a_format_that_is_no_table_is_named_whatever_the_name_says(
    tmp_path: Path, customers_csv: Path, case: tuple[str, Callable[[bytes], bytes], str], extension: str
) -> None:
    name, change, remedy = case
    path = tmp_path / f"a{extension}"
    path.write_bytes(change(customers_csv.read_bytes()))
    violation = refused(path)
    assert violation.value == f"the content is {name}, not CSV"
    assert violation.cause == "other-format"
    assert violation.hint.startswith(remedy)


@pytest.mark.parametrize(
    "content", [b"gender,partner\n", b"PK,x\n", b"[a],{b}\n", b"<5,>5\n", b"\x00" * 50, b"a\x00b\x00", b"", b"BZ,h"]
)
def test_what_may_be_csv_has_no_other_format(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert formats.real_format(tmp_path / "a") is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: '"' + t.replace("\n", '"\n"'), ("quoted-lines", "each line is one value", "remove the quotes")),
        (lambda t: t.split("\n", 1)[1], ("no-header", "the first line has values (", "add a first line")),
        (lambda t: t.replace(",", "^"), ("delimiter", "the columns are separated by '^'", "save it with commas")),
        (lambda _: "\n \n", ("blank-header", "there is no line with text", "")),
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
