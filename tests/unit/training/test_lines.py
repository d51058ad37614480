"""Line numbers in a text file."""

from __future__ import annotations

import random
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from training import lines
from training.data import DataError, load
from training.lines import lines_of


def lines_after_header(path: Path, rows: list[int], header: str = "h1,h2\n") -> dict[int, int]:
    with path.open("rb") as file:
        assert file.read(len(header)) == header.encode()
        return lines_of(file, rows, before=1)


FIELDS = ("x", "", 'a"b', '"q"', '"a,b"', '"one\ntwo"', '"d""q"', '""', '"\n\n"', '"q"z', '"a\n""b"",\nc"')


def test_lines_agree_with_the_reader_on_quotes_line_ends_and_blank_lines(tmp_path: Path) -> None:
    path, dice = tmp_path / "a.csv", random.Random(3)  # noqa: S311 - not for secrets
    options = pa_csv.ConvertOptions(column_types={"h1": pa.string(), "h2": pa.string()})
    for _ in range(500):
        text, line, expected = "h1,h2\n", 2, []
        for _ in range(dice.randint(1, 10)):
            if dice.random() < 0.2:
                text, line = text + "\n", line + 1
                continue
            record = f"{dice.choice(FIELDS)},{dice.choice(FIELDS)}\n"
            expected.append(line)
            text, line = text + record, line + record.count("\n")
        path.write_text(text)
        lines = lines_after_header(path, list(range(1, len(expected) + 1)))
        assert list(lines.values()) == expected, text
        if expected:
            parse = pa_csv.ParseOptions(newlines_in_values=True)
            assert pa_csv.read_csv(path, parse_options=parse, convert_options=options).num_rows == len(expected)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_counts_once(tmp_path: Path, end: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(end.join(["h", "a", "", "b", "c"]).encode())
    assert lines_after_header(path, [1, 2, 3, 4], f"h{end}") == {1: 2, 2: 4, 3: 5}


def test_search_ends_at_a_line_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINE_BYTES", 100)
    path = tmp_path / "a.csv"
    path.write_text("h\na\n" + "b" * 200 + "\nc\n")
    assert lines_after_header(path, [1, 2, 3], "h\n") == {1: 2}


def test_the_message_names_the_line_after_quoted_newlines_and_blank_lines(tmp_path: Path, table: pd.DataFrame) -> None:
    table.loc[2, "gender"] = "one\ntwo"
    table.loc[40, "gender"] = "X"
    table.to_csv(tmp_path / "a.csv", index=False)
    text = (tmp_path / "a.csv").read_text().split("\n")
    (tmp_path / "a.csv").write_text("\n".join([*text[:20], "", "", *text[20:]]))
    with pytest.raises(DataError) as caught:
        load(str(tmp_path / "a.csv"))
    places = {v.value: (v.rows, v.lines) for v in caught.value.violations}
    assert places == {"'one\\ntwo'": ((3,), (4,)), "'X'": ((41,), (45,))}
    assert "gender: row 41 (line 45): 'X'" in str(caught.value)


def test_parquet_rows_have_no_lines(tmp_path: Path, table: pd.DataFrame) -> None:
    table.loc[40, "gender"] = "X"
    table.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="gender: row 41: 'X'") as caught:
        load(str(tmp_path / "a.parquet"))
    assert caught.value.violations[0].lines == ()
