"""Where something stands in a text file, for messages: read again only when something is wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

LINE_BYTES: Final = 8 * 1024 * 1024
"""A longer line ends the search: no row of a CSV file may be that long."""
_REST: Final = r"[^,\n]*+(?:,|\n|$)"
_QUOTED: Final = r'[^"]*+(?:""[^"]*+)*+"'
"""A quoted value behind its first quote; a quote opens one only at the beginning of a field."""
_FIELDS: Final = rf'(?:(?:"{_QUOTED}|(?!")){_REST})*+'
_WHOLE: Final = re.compile(_FIELDS)
_ENDING: Final = re.compile(_QUOTED + _REST + _FIELDS)
"""A line in which no quoted value goes on to the next: one that begins with a field, and one inside of a value."""
_BLOCK_BYTES: Final = 1024 * 1024


def lines_of(path: Path, rows: Sequence[int]) -> dict[int, int]:
    """The line in which each data row begins, the first line being 1.

    As the reader counts rows: blank lines are none, and a quoted value may go over several lines.

    Args:
        path: a CSV file whose first line is the header.
        rows: ascending data rows, counted from 1.

    Returns:
        Line by row; without the rows behind a line of more than ``LINE_BYTES``.
    """
    found: dict[int, int] = {}
    wanted = iter(rows)
    next_row = next(wanted, None)
    row, number, quoted = -1, 0, False
    # Every byte is a character of Latin-1; a carriage return alone ends a line too, as for the reader.
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
                    found[row] = number
                    next_row = next(wanted, None)
            if '"' in line:
                quoted = not (_ENDING if quoted else _WHOLE).fullmatch(line)
    return found


def not_utf8(path: Path) -> tuple[int, int] | None:
    """The first byte that is not UTF-8 and its line, the first being 1; ``None`` when there is none."""
    line, rest = 1, b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            data = rest + block
            try:
                data.decode("utf-8")
                rest = b""
            except UnicodeDecodeError as error:
                # A character may go on in the next block.
                if error.reason != "unexpected end of data":
                    return data[error.start], line + data[: error.start].count(b"\n")
                data, rest = data[: error.start], data[error.start :]
            line += data.count(b"\n")
    return (rest[0], line) if rest else None
