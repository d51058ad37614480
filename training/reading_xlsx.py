"""Excel workbooks as streams of Arrow batches."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.contract import Reading
from training import causes
from training.names import Names
from training.reading_columns import Columns
from training.reading_layout import SAMPLE_RECORDS, Known, find_header
from training.reading_workbook import EXACT, opened_sheet, rows_of, text_of
from training.violations import FILE, Batches, Findings, RowNumbers, Violation, always, file_error

Cells = Sequence[Any]

BATCH_ROWS: Final = 8192
BLANK_ROWS: Final = 2**20
"""Blank rows one after another at which reading ends: a sheet in Excel has no more rows."""
WIDE_ROWS_KEPT: Final = 1000


class XlsxTable:
    """A sheet of a workbook. Numbers in cells are exact; texts in number columns are read as in a text file."""

    def __init__(self, path: Path, findings: Findings, names: Names, reading: Reading) -> None:
        self._path = path
        self._findings = findings
        self._sheet = reading.sheet
        self._key = names.contract.key.name
        known = Known(names)
        with opened_sheet(path, self._sheet) as (table, sheets):
            self._claimed = table.max_row or 0
            first = [_texts(cells) for cells in islice(rows_of(path, table), SAMPLE_RECORDS)]
            title = table.title
        if not any(first):
            raise file_error(str(path), f"sheet {title!r} is empty", "a header and at least one customer")
        self._header = find_header(first, known)
        self._names = [name.strip() for name in first[self._header]]
        if not known.count(self._names) and any(name in known.categories for name in self._names):
            raise file_error(
                str(path), f"the first row of sheet {title!r} has values, not column names",
                "a header with the column names", cause="no-header", hint="add a first row with the column names",
            )  # fmt: skip
        self._columns = Columns(names.contract, reading, findings, self._rescan)
        self._position: dict[str, int] = {}
        self._sheet_rows = array("l")
        self.rows = self._wide = 0
        self.done = 0.0
        self._rounded = False
        self.fields = [pa.field(name, pa.string()) for name in self._names]
        self._describe(title, sheets, [cells for cells in first[: self._header] if cells])

    def batches(self, columns: Mapping[str, str], batch_rows: int) -> Batches:
        self._position = {name: self._names.index(theirs) for name, theirs in columns.items()}
        self._sheet_rows = array("l")
        for rows, cells in self._chunks(min(batch_rows, BATCH_ROWS)):
            # The size that the file claims for the sheet may be anything.
            self.done = min(1.0, self._sheet_rows[-1] / self._claimed) if self._claimed else 0.0
            yield rows, self._cleaned(cells, rows)

    def lines(self, rows: Sequence[int]) -> Mapping[int, int]:
        return {row: self._sheet_rows[row - 1] for row in rows if row <= len(self._sheet_rows)}

    def close(self) -> None:
        """Nothing to close: the workbook is open only while batches are read."""

    def _cleaned(self, cells: Sequence[Cells], rows: RowNumbers) -> dict[str, pa.Array]:
        columns, cells_of_numbers = {}, {}
        for name, at in self._position.items():
            values = [row[at] for row in cells]
            texts, exact = _strings(values), _strings(_not_text(v) for v in values)
            if self._columns.numbers.holds(name):
                columns[name], cells_of_numbers[name] = texts, exact
                continue
            both = pc.coalesce(texts, exact)
            if name == self._key:
                self._check_key(values, rows)
            # A dictionary is what is cleaned as a category; an id is no number and no category.
            columns[name] = both if name == self._key else both.dictionary_encode()
        columns = self._columns.clean(columns, rows)
        return columns | {name: pc.coalesce(exact, columns[name]) for name, exact in cells_of_numbers.items()}

    def _check_key(self, values: list[Any], rows: RowNumbers) -> None:
        large = (i for i, v in enumerate(values) if isinstance(v, int | float) and abs(v) >= EXACT)
        at = next(large, None)
        if at is None or self._rounded:
            return
        self._rounded = True
        self._findings.add(
            Violation(
                column=self._key, rows=(int(rows[at]),), count=1, value=text_of(values[at]),
                expected="ids as text", cause="rounded-id",
                hint="Excel rounds numbers of more than 15 digits: write the ids as text",
            )
        )  # fmt: skip

    def _rescan(self, names: Sequence[str]) -> Batches:
        for rows, cells in self._chunks(BATCH_ROWS, quiet=True):
            yield rows, {name: _strings(row[self._position[name]] for row in cells) for name in names}

    def _chunks(self, size: int, *, quiet: bool = False) -> Iterator[tuple[RowNumbers, list[Cells]]]:
        """Rows in chunks, each padded to the width of the header, and the data row numbers of these."""
        numbers: list[int] = []
        chunk: list[Cells] = []
        for number, cells in enumerate(self._data_rows(quiet=quiet), start=1):
            if len(cells) > len(self._names):
                if not quiet and not self._too_wide(number, len(cells)):
                    break
                continue
            numbers.append(number)
            chunk.append((*cells, *[None] * (len(self._names) - len(cells))))
            if len(chunk) == size:
                yield np.array(numbers, dtype=np.int64), chunk
                numbers, chunk = [], []
        if chunk:
            yield np.array(numbers, dtype=np.int64), chunk

    def _data_rows(self, *, quiet: bool) -> Iterator[Cells]:
        """The rows below the header that are not blank, without blank cells at their end."""
        blank = 0
        with opened_sheet(self._path, self._sheet, checked=True) as (table, _):
            for number, values in enumerate(rows_of(self._path, table), start=1):
                cells = _trimmed(values)
                blank = 0 if cells else blank + 1
                if blank > BLANK_ROWS:
                    raise file_error(str(self._path), f"more than {BLANK_ROWS:,} blank rows", "rows without such a gap")
                if number <= self._header + 1 or not cells:
                    continue
                if not quiet:
                    self._sheet_rows.append(number)
                    self.rows += 1
                yield cells

    def _too_wide(self, number: int, width: int) -> bool:
        """Report a row with cells beside the table; returns whether to read on."""
        self._wide += 1
        counts = pa.array([f"{width} cells"])
        expected = f"at most {len(self._names)} cells, as in the header"
        self._findings.add_cells(FILE, expected, np.array([number]), counts, always(causes.WRONG_WIDTH))
        if self._wide < WIDE_ROWS_KEPT:
            return True
        self._findings.stop(f"reading stopped at row {number:,}, after {WIDE_ROWS_KEPT:,} rows of the wrong width")
        return False

    def _describe(self, title: str, sheets: Sequence[str], above: Sequence[Sequence[str]]) -> None:
        others = f", the first of {len(sheets)}" if len(sheets) > 1 and self._sheet is None else ""
        self._findings.changes.add_sentence(f"The file was read as an Excel workbook, sheet {title!r}{others}.")
        if above:
            self._findings.changes.add_sentence(
                f"Cells above the header in row {self._header + 1} were ignored, such as {' '.join(above[0])!r}."
            )


def _strings(values: Iterable[Any]) -> pa.Array:
    """The texts among the values of cells; null for any other."""
    return pa.array([v if isinstance(v, str) else None for v in values], pa.string())


def _not_text(value: Any) -> str | None:
    """The text of a cell that holds something else."""
    return None if value is None or isinstance(value, str) else text_of(value)


def _trimmed(values: Cells) -> Cells:
    """A row without the blank cells at its end."""
    end = len(values)
    while end and (values[end - 1] is None or values[end - 1] == ""):
        end -= 1
    return values[:end]


def _texts(values: Cells) -> list[str]:
    return ["" if value is None else text_of(value) for value in _trimmed(values)]
