"""Opens an Excel workbook without trusting it: sizes are checked before anything is unpacked."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError

from training.violations import DataError, file_error, first_line

SHEET_BYTES: Final = 2 * 1024**3
"""Largest sheet, unpacked: about the million rows that Excel can hold."""
PART_BYTES: Final = 256 * 1024**2
"""Largest other part, such as the table of texts, which is held in memory."""
RATIO: Final = 200
"""A part that shrank more than this, and is large, was made to exhaust memory."""
_LARGE: Final = 32 * 1024**2
_PARTS: Final = 10_000
_NO_RESULT: Final = re.compile(rb"(?:</f>|<f\b[^>]*/>)\s*(?:<v\s*/>|<v>\s*</v>)?\s*</c>")
_BLOCK: Final = 1024 * 1024
_OVERLAP: Final = 4096
_FAULTS: Final = (zipfile.BadZipFile, ParseError, KeyError, ValueError, TypeError, AttributeError, OSError, EOFError)
"""What openpyxl raises for a workbook that is damaged."""
_LONGEST: Final = 1e21
"""Whole numbers from here on are written with an exponent."""
EXACT: Final = 2**53
"""Larger whole numbers are rounded by Excel, which keeps 15 digits."""


@contextmanager
def opened_sheet(path: Path, sheet: str | None, *, checked: bool = False) -> Iterator[tuple[Any, list[str]]]:
    """Provide a sheet of a workbook, row by row, and the names of all sheets.

    Args:
        path: the workbook.
        sheet: its name; by default the first.
        checked: whether sizes and formulas were checked before, when the same sheet was opened.

    Raises:
        DataError: damaged, too large, no such sheet, or with formulas whose results are not stored.
    """
    if not checked:
        _check_sizes(path)
    from openpyxl import load_workbook  # noqa: PLC0415 - takes a third of a second, which other formats need not wait for

    # By the open file: openpyxl refuses names that do not end in .xlsx.
    file = path.open("rb")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
    except _FAULTS as error:
        file.close()
        raise damaged(path, error) from error
    try:
        names = [table.title for table in book.worksheets]
        if not names:
            raise file_error(str(path), "the workbook has no sheet with cells", "a table in the first sheet")
        if sheet is not None and sheet not in names:
            raise file_error(
                str(path), f"the workbook has no sheet {sheet!r}", f"one of {', '.join(map(repr, names[:10]))}",
                cause="no-sheet", hint="say which with --sheet",
            )  # fmt: skip
        table = book[sheet or names[0]]
        if not checked:
            _check_formulas(path, table)
        yield table, names
    finally:
        book.close()
        file.close()


def damaged(path: Path, error: Exception) -> DataError:
    """The error for a workbook that cannot be read."""
    return file_error(str(path), f"unreadable ({first_line(error)})", "an Excel workbook", cause="damaged")


def rows_of(path: Path, table: Any) -> Iterator[tuple[Any, ...]]:
    """The values of each row of a sheet, however large the file claims that it is.

    Raises:
        DataError: the workbook is damaged.
    """
    table.reset_dimensions()
    try:
        yield from table.iter_rows(values_only=True)
    except _FAULTS as error:
        raise damaged(path, error) from error


def text_of(value: object) -> str:
    """A cell's value as a text file would have it."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < _LONGEST else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ")
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _check_sizes(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            for part in parts[:_PARTS]:
                _check_part(path, part)
                if part.filename.endswith((".xml", ".rels")):
                    with archive.open(part) as file:
                        head = file.read(_OVERLAP)
                    if b"<!DOCTYPE" in head or b"<!ENTITY" in head:
                        raise _hostile(path, f"{part.filename} defines entities")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise damaged(path, error) from error
    if len(parts) > _PARTS:
        raise _hostile(path, f"it has {len(parts):,} parts")


def _check_part(path: Path, part: zipfile.ZipInfo) -> None:
    largest = SHEET_BYTES if part.filename.startswith("xl/worksheets/") else PART_BYTES
    if part.file_size > largest:
        raise _hostile(path, f"{part.filename} unpacks to {part.file_size / 1024**2:,.0f} MiB")
    if part.file_size > max(_LARGE, RATIO * part.compress_size):
        ratio = part.file_size / max(part.compress_size, 1)
        raise _hostile(path, f"{part.filename} unpacks to {ratio:,.0f} times its size")


def _hostile(path: Path, why: str) -> DataError:
    return file_error(
        str(path), f"{why}, as in a file made to exhaust memory", "an ordinary Excel workbook", cause="too-large",
        hint="save the table as CSV",
    )  # fmt: skip


def _check_formulas(path: Path, table: Any) -> None:
    """Refuse formulas without a stored result: their cells would read as blank."""
    try:
        _search_formulas(path, table)
    except _FAULTS as error:
        raise damaged(path, error) from error


def _search_formulas(path: Path, table: Any) -> None:
    rest = b""
    with zipfile.ZipFile(path) as archive, archive.open(table._worksheet_path.lstrip("/")) as file:  # noqa: SLF001 - the sheet's own part has no public name
        while data := file.read(_BLOCK):
            if _NO_RESULT.search(rest + data):
                raise file_error(
                    str(path), f"sheet {table.title!r} has formulas whose results are not stored",
                    "values, or formulas with their results", cause="formulas",
                    hint="open it in the spreadsheet program and save it again, or save it as CSV",
                )  # fmt: skip
            rest = data[-_OVERLAP:]
