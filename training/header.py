"""The header of a CSV file, and what is wrong with a file that does not begin with one."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from training import formats
from training.names import Names
from training.violations import file_error, shown

HEADER_BYTES: Final = 64 * 1024
TITLE_LINES: Final = 20
"""Number of lines at the beginning that may hold the header."""
_DELIMITERS: Final = ";\t|:^~"
_TELLS: Final = 3
"""Fewest known columns that make a line a header; a title above it has fewer."""
_SEP_LINE: Final = re.compile(r'^"?sep=.?"?$', re.IGNORECASE)
_DECIMAL_COMMA: Final = re.compile(r"^-?\d+,\d+$")


def read_header(path: Path, names: Names) -> list[str]:
    """Read the column names of a CSV file; ``names`` are those of the contract.

    Raises:
        DataError: the first line is no header, or the file is not CSV; the message names the cause and the remedy.
    """
    if kind := formats.real_format(path):
        raise file_error(
            str(path),
            f"the content is {kind}, not CSV",
            "a CSV file saved as UTF-8",
            cause="other-format",
            hint=formats.remedy(kind),
        )
    with path.open("rb") as file:
        lines = file.read(HEADER_BYTES + 1).splitlines()
    if lines and len(lines[0]) > HEADER_BYTES:
        raise file_error(str(path), f"the header has more than {HEADER_BYTES:,} bytes", "a CSV file with a header")
    try:
        text = lines[0].decode("utf-8-sig") if lines else ""
    except UnicodeDecodeError as error:
        raise file_error(
            str(path),
            "the header is not UTF-8 text",
            "a CSV file saved as UTF-8",
            cause="not-utf8",
            hint="save it as UTF-8, for example as 'CSV UTF-8' in Excel",
        ) from error
    # From here on the code only explains a first line that is no header; bytes that are not UTF-8 do not matter.
    below = [line.decode("utf-8", errors="replace") for line in lines[1 : TITLE_LINES + 1]]
    _refuse_sep_line(path, text, below, names)
    header = _cells(text, ",")
    _refuse_title(path, header, below, names)
    _refuse_delimiter(path, text, below, names)
    if not names.recognised(header) and (values := [name for name in header if name.strip() in names.telling]):
        raise file_error(
            str(path),
            f"the first line has values ({shown(values[0])}), not column names",
            "a header with the column names",
            cause="no-header",
            hint="add a first line with the column names",
        )
    return header


def _refuse_sep_line(path: Path, text: str, below: Sequence[str], names: Names) -> None:
    # A spreadsheet may have saved this line with commas for its empty columns.
    if not _SEP_LINE.match(text.strip().rstrip(",;")):
        return
    delimiter = _best_delimiter(below[0], names) if below else ","
    separated = f", and the columns are separated by {delimiter!r}" if delimiter != "," else ""
    raise file_error(
        str(path),
        f"the first line is Excel's {shown(text.strip())!r}{separated}",
        "a header with the column names, separated by commas",
        cause="sep-line",
        hint="remove the first line" + (" and save the table with commas" if separated else ""),
    )


def _refuse_title(path: Path, header: Sequence[str], below: Sequence[str], names: Names) -> None:
    """Refuse a file whose header stands below other lines."""
    known = names.recognised(header)
    at = next((i for i, line in enumerate(below, start=2) if _known_columns(line, names) > max(known, _TELLS)), None)
    above = "" if at is None else "remove the first line" if at == 2 else f"remove the first {at - 1} lines"  # noqa: PLR2004
    if not any(name.strip() for name in header):
        raise file_error(
            str(path), "the first line is blank", "a header with the column names", cause="blank-header", hint=above
        )
    if at is not None and known < _TELLS:
        raise file_error(
            str(path),
            f"the header is in line {at}, below a title",
            "the column names in line 1",
            cause="title-line",
            hint=above,
        )


def _refuse_delimiter(path: Path, text: str, below: Sequence[str], names: Names) -> None:
    header = _cells(text, ",")
    if len(header) == 1 and len(_cells(header[0], ",")) > 1:
        raise file_error(
            str(path),
            "each line is one value in quotes",
            "a CSV file separated by commas",
            cause="quoted-lines",
            hint="remove the quotes around the lines",
        )
    delimiter = _best_delimiter(text, names)
    if delimiter == "," and len(header) == 1:
        delimiter = next((d for d in ";\t|" if d in text), ",")
    if delimiter == ",":
        return
    cells = [cell for line in below for cell in _cells(line, delimiter)]
    example = next((cell for cell in cells if _DECIMAL_COMMA.match(cell.strip())), None)
    numbers = f", and write numbers with a decimal point: {example} looks like a decimal comma" if example else ""
    raise file_error(
        str(path),
        f"the columns are separated by {delimiter!r}",
        "a CSV file separated by commas",
        cause="delimiter",
        hint=f"save it with commas between the columns{numbers}",
    )


def _best_delimiter(text: str, names: Names) -> str:
    """The character that splits a header into the most known columns; the comma if no other does better."""
    return max("," + _DELIMITERS, key=lambda delimiter: names.recognised(_cells(text, delimiter)))


def _known_columns(line: str, names: Names) -> int:
    return names.recognised(_cells(line, _best_delimiter(line, names)))


def _cells(text: str, delimiter: str) -> list[str]:
    return next(csv.reader([text], delimiter=delimiter), [])
