"""Line numbers in a text file, for messages. The file is read again only if something is wrong in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

LINE_BYTES: Final = 8 * 1024 * 1024
"""A longer line ends the search: no row of a CSV file may be that long."""
_REST: Final = r"[^,\n]*+(?:,|\n|$)"
_QUOTED: Final = r'[^"]*+(?:""[^"]*+)*+"'
"""A quoted value after its opening quote; a quote opens a value only at the beginning of a field."""
_FIELDS: Final = rf'(?:(?:"{_QUOTED}|(?!")){_REST})*+'
_WHOLE: Final = re.compile(_FIELDS)
_ENDING: Final = re.compile(_QUOTED + _REST + _FIELDS)
"""A line in which every quoted value ends: one that begins with a field, and one that begins inside a value."""
_BLOCK_BYTES: Final = 1024 * 1024


def lines_of(path: Path, rows: Sequence[int]) -> dict[int, int]:
    """Find the line in which each data row begins; the first line is 1.

    Rows are counted as the reader counts them: a blank line is no row, and a quoted value may span several lines.

    Args:
        path: a CSV file whose first line is the header.
        rows: ascending data rows, counted from 1.

    Returns:
        The line of each row, without the rows after a line of more than ``LINE_BYTES``.
    """
    lines: dict[int, int] = {}
    remaining = iter(rows)
    next_row = next(remaining, None)
    row, number, quoted = -1, 0, False
    # In Latin-1 every byte is a character. A single carriage return ends a line too, as it does for the reader.
    with path.open(encoding="latin-1", newline=None) as file:
        while next_row is not None and (line := file.readline(LINE_BYTES)):
            if not line.endswith("\n") and len(line) == LINE_BYTES:
                break
            number += 1
            if not quoted:
                if line == "\n":
                    continue
                row += 1
                if row == next_row:
                    lines[row] = number
                    next_row = next(remaining, None)
            if '"' in line:
                quoted = not (_ENDING if quoted else _WHOLE).fullmatch(line)
    return lines


def not_utf8(path: Path) -> tuple[int, int] | None:
    """Find the first byte that is not UTF-8, and its line (the first is 1); ``None`` if there is no such byte."""
    line, rest = 1, b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            data = rest + block
            try:
                data.decode("utf-8")
                rest = b""
            except UnicodeDecodeError as error:
                # A character may continue in the next block.
                if error.reason != "unexpected end of data":
                    return data[error.start], line + data[: error.start].count(b"\n")
                data, rest = data[: error.start], data[error.start :]
            line += data.count(b"\n")
    return (rest[0], line) if rest else None
