"""Line numbers in a text file, for messages. The file is read again only if something is wrong in it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

LINE_BYTES: Final = 8 * 1024 * 1024
"""A longer line ends the search: no row of a CSV file may be that long."""
_QUOTED: Final = r'[^"]*+(?:""[^"]*+)*+"'
"""A quoted value after its opening quote; a quote opens a value only at the beginning of a field."""


def lines_of(stream: Any, rows: Sequence[int], *, before: int = 0, delimiter: str = ",") -> dict[int, int]:
    """Find the line in which each data row begins; the first line of the file is 1.

    Rows are counted as the reader counts them: a blank line is no row, and a quoted value may span several lines.

    Args:
        stream: the bytes of the data rows, without the header.
        rows: ascending data rows, counted from 1.
        before: lines of the file before the stream.
        delimiter: between the columns.

    Returns:
        The line of each row, without the rows after a line of more than ``LINE_BYTES``.
    """
    lines: dict[int, int] = {}
    remaining = iter(rows)
    next_row, row = next(remaining, None), 0
    for number, line, quoted in _lines(stream, delimiter):
        if next_row is None:
            break
        if quoted or line == "\n":
            continue
        row += 1
        if row == next_row:
            lines[row] = before + number
            next_row = next(remaining, None)
    return lines


def swallowed(stream: Any, fields: int, *, before: int = 0, delimiter: str = ",") -> int | None:
    """Find the line of a quote that is never closed: the value goes on in a line with a whole row in it.

    Args:
        stream: the bytes of the data rows, without the header.
        fields: of a row.
        before: lines of the file before the stream.
        delimiter: between the columns.

    Returns:
        The first such line, or ``None``.
    """
    start = previous = 0
    for number, line, quoted in _lines(stream, delimiter):
        if not quoted:
            start = 0
        else:
            start = start or previous
            if line.count(delimiter) >= max(fields - 1, 1):
                return before + start
        previous = number
    return None


def _lines(stream: Any, delimiter: str) -> Iterator[tuple[int, str, bool]]:
    """Each line with its number, from 1, and whether it begins inside a quoted value."""
    whole, ending = _patterns(delimiter)
    number, quoted = 0, False
    # In Latin-1 every byte is a character. A single carriage return ends a line too, as it does for the reader.
    with io.TextIOWrapper(io.BufferedReader(stream), encoding="latin-1", newline=None) as file:
        while line := file.readline(LINE_BYTES):
            if not line.endswith("\n") and len(line) == LINE_BYTES:
                return
            number += 1
            yield number, line, quoted
            if '"' in line:
                quoted = not (ending if quoted else whole).fullmatch(line)


@cache
def _patterns(delimiter: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """A line in which every quoted value ends: one that begins with a field, and one that begins inside a value."""
    mark = re.escape(delimiter)
    rest = rf"[^{mark}\n]*+(?:{mark}|\n|$)"
    fields = rf'(?:(?:"{_QUOTED}|(?!")){rest})*+'
    return re.compile(fields), re.compile(_QUOTED + rest + fields)
