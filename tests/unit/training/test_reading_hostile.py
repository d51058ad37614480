"""Text files that can be read two ways, or that are damaged: refused with what to do, never read as something else."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from support.messy_texts import HEADER, file, read, refused

from app.contract import Reading
from training import reading_csv
from training.lines import swallowed
from training.reading_bytes import TextFile
from training.reading_encoding import detect


def test_cp1252_is_read_where_its_letters_are_certain_and_said(tmp_path: Path) -> None:
    rows, notes = read(file(tmp_path, "Jörg,Köln,EU,5,1.5,1", encoding="cp1252"))
    assert rows == [("Jörg", 0, 1, 5.0, 1.5, 1.0)]
    assert notes == ("The file was read as CSV, Windows-1252 (cp1252), delimiter ','.",)


def test_the_lines_of_a_cp1252_file_without_quotes_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []

    def counted(_: TextFile, start: int) -> int:
        counts.append(start)
        return 1

    monkeypatch.setattr(reading_csv, "rows_in", counted)
    assert read(file(tmp_path, "Jörg,Köln,EU,5,1.5,1", encoding="cp1252"))[0][0][0] == "Jörg"
    assert not counts
    assert read(file(tmp_path, '"Jörg",Köln,EU,5,1.5,1', encoding="cp1252"))[0][0][0] == "Jörg"
    assert counts


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


def test_a_byte_is_refused_in_the_encoding_that_does_not_have_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    text = f"{HEADER}\na,Oslo,EU,5,1.5,1\n"
    path.write_bytes(text.encode("utf-16") + b"\x00\xdc" + ",Oslo,EU,5,1.5,1\n".encode("utf-16-le"))
    message = refused(path)
    assert f"byte {2 + 2 * len(text) + 1}: a byte that is not UTF-16 (0x00; illegal" in message
    assert "repair this character" in message
    path.write_bytes((text + "\0").encode("utf-16"))
    assert f"byte {2 + 2 * len(text) + 1}: a NUL byte (0x00)" in refused(path)
    path.write_bytes(text.encode().replace(b"Oslo", b"K\x81ln"))
    message = refused(path, Reading(encoding="cp1252"))
    assert "row 1 (line 2), column city: a byte that is not Windows-1252 (cp1252) (0x81; character maps" in message


def test_an_encoding_that_contradicts_the_bytes(tmp_path: Path) -> None:
    path = file(tmp_path, "a,Köln,EU,5,1.5,1", encoding="utf-8-sig")
    assert "the bytes show UTF-8" in refused(path, Reading(encoding="cp1252"))
    _, sentence = detect(file(tmp_path, "a,Köln,EU,5,1.5,1"), None, Reading(encoding="latin-1"))
    assert sentence == "The file is valid UTF-8, and was read as Latin-1 because an option says so."
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
