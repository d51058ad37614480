"""Tables on disk as streams of Arrow batches: CSV and Parquet, one thread, memory independent of the file's size."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from app.feature import Feature
from training import causes, formats
from training.files import EXTENSIONS
from training.header import read_header
from training.hints import number_causes
from training.lines import lines_of, not_utf8
from training.names import Names
from training.violations import FILE, DataError, Findings, RowNumbers, Violation, file_error, shown

CSV_BLOCK_BYTES: Final = 4 * 1024 * 1024
RAGGED_ROWS_KEPT: Final = 1000
"""A CSV file with more rows of the wrong width is read no further: it has another format."""
ROW_CHARACTERS: Final = 10_000
"""A longer row of the wrong width is not examined."""

Batches = Iterator[tuple[RowNumbers, Mapping[str, pa.Array]]]


class Table(Protocol):
    """An open table; ``fields`` are its columns as the file has them."""

    fields: list[pa.Field]

    def batches(self, columns: Mapping[str, str], batch_rows: int) -> Batches:
        """Yield 1-based data row numbers, and columns by the keys of ``columns``, whose values are the file's names."""

    def lines(self, rows: Sequence[int]) -> Mapping[int, int]:
        """The line of the file in which each of the ascending data rows begins; empty for a format without lines."""

    def close(self) -> None: ...


def open_table(path: Path, findings: Findings, names: Names) -> AbstractContextManager[Table]:
    """Open a CSV or Parquet file, distinguished by extension.

    Args:
        path: a local file.
        findings: receives what only a reader sees, such as rows of the wrong width.
        names: the columns of the contract.

    Raises:
        DataError: unknown extension, empty file, or not a file of that format.
    """
    suffix = path.suffix.lower()
    if suffix not in EXTENSIONS:
        raise _other_extension(path)
    if path.stat().st_size == 0:
        raise file_error(str(path), "the file is empty", "a header and at least one customer")
    table: Table = _Csv(path, findings, names) if suffix == ".csv" else _Parquet(path, findings, names)
    return closing(table)


class _Csv:
    def __init__(self, path: Path, findings: Findings, names: Names) -> None:
        self._path = path
        self._findings = findings
        self._names = names
        self._header = read_header(path, names)
        self._ragged: list[int] = []
        decimals = {f.name: f for f in names.contract.features if f.type == "number"}
        self._decimals = {
            position: decimals[name]
            for position, theirs in enumerate(self._header)
            if (name := names.known(theirs)) in decimals
        }
        self.fields = [pa.field(name, pa.string()) for name in self._header]

    def batches(self, columns: Mapping[str, str], batch_rows: int) -> Batches:  # noqa: ARG002 - a CSV file comes in blocks of bytes
        # Positions instead of names, which may repeat in the file.
        position = {name: str(self._header.index(theirs)) for name, theirs in columns.items()}
        kinds = {
            position[name]: pa.dictionary(pa.int32(), pa.string()) if name in self._names.few_values else pa.string()
            for name in columns
        }
        rows_read = 0
        try:
            with pa_csv.open_csv(
                self._path,
                pa_csv.ReadOptions(
                    use_threads=False,
                    block_size=CSV_BLOCK_BYTES,
                    skip_rows=1,
                    column_names=[str(i) for i in range(len(self._header))],
                ),
                pa_csv.ParseOptions(invalid_row_handler=self._ragged_row),
                pa_csv.ConvertOptions(column_types=kinds, include_columns=list(kinds)),
            ) as reader:
                for batch in reader:
                    yield self._numbers(rows_read, batch.num_rows), {name: batch[at] for name, at in position.items()}
                    rows_read += batch.num_rows
        except pa.ArrowInvalid as error:
            # After too many ragged rows we stopped the reader ourselves; a file with only a header has no row to check.
            if len(self._ragged) < RAGGED_ROWS_KEPT and "Could not skip initial" not in str(error):
                self._findings.add(_csv_problem(self._path, error, rows_read))

    def lines(self, rows: Sequence[int]) -> Mapping[int, int]:
        return lines_of(self._path, rows)

    def close(self) -> None:
        """Nothing to close: the file is open only while batches are read."""

    def _ragged_row(self, row: Any) -> str:
        number = row.number - 1
        self._ragged.append(number)
        at, split = np.array([number]), self._split_number(row.text)
        if split is None:
            expected = f"{row.expected_columns} fields, as in the header"
            counts = pa.array([f"{row.actual_columns} fields"])
            self._findings.add_cells(FILE, expected, at, counts, lambda _: np.array([causes.WRONG_WIDTH], dtype=object))
        else:
            feature, value = split
            expected = f"a number without commas, in a row of {row.expected_columns} fields"
            self._findings.add_cells(feature.name, expected, at, value, partial(number_causes, feature))
        if len(self._ragged) < RAGGED_ROWS_KEPT:
            return "skip"
        self._findings.stop(f"reading stopped at row {number:,}, after {RAGGED_ROWS_KEPT:,} rows of the wrong width")
        return "error"

    def _split_number(self, text: str) -> tuple[Feature, pa.Array] | None:
        """The first number that its comma split into two fields, in a row that is too wide, and its feature."""
        cells = next(csv.reader([text]), []) if len(text) <= ROW_CHARACTERS else []
        if not 0 < len(cells) - len(self._header) <= len(self._decimals) or not self._may_be_last(cells[-1].strip()):
            return None
        for position, feature in self._decimals.items():
            value = pa.array([f"{cells[position].strip()},{cells[position + 1].strip()}"])
            if number_causes(feature, value)[0] in causes.WITH_COMMA:
                return feature, value
        return None

    def _may_be_last(self, cell: str) -> bool:
        """Whether the last field of a row that is too wide fits the last column, moved there by a split number."""
        is_label = self._names.known(self._header[-1]) == self._names.contract.label.name
        return cell.lower() in self._names.label_texts if is_label else bool(cell)

    def _numbers(self, rows_read: int, rows: int) -> RowNumbers:
        """Data row numbers of the next ``rows`` rows; rows of the wrong width count too."""
        index = np.arange(rows_read, rows_read + rows, dtype=np.int64)
        ragged = np.array(self._ragged, dtype=np.int64)
        before = np.searchsorted(ragged - np.arange(len(ragged)) - 1, index, side="right")
        return index + before + 1


class _Parquet:
    def __init__(self, path: Path, findings: Findings, names: Names) -> None:
        self._findings = findings
        try:
            schema = pq.read_schema(path)
            categories = [f.name for f in schema if is_text(f.type) and names.ours(f.name) in names.few_values]
            # Use small buffers instead of whole column chunks: a row group may hold the whole file.
            self._file = pq.ParquetFile(path, read_dictionary=categories, pre_buffer=False, buffer_size=1024 * 1024)
        except (pa.ArrowException, OSError) as error:
            raise _not_parquet(path, error) from error
        self.fields = list(self._file.schema_arrow)

    def batches(self, columns: Mapping[str, str], batch_rows: int) -> Batches:
        seen = 0
        try:
            for batch in self._file.iter_batches(batch_rows, columns=list(columns.values()), use_threads=False):
                rows = np.arange(seen + 1, seen + 1 + batch.num_rows, dtype=np.int64)
                yield rows, {name: batch[theirs] for name, theirs in columns.items()}
                seen += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            self._findings.add_column(FILE, f"unreadable after row {seen:,} ({_first_line(error)})", "a Parquet file")

    def lines(self, rows: Sequence[int]) -> Mapping[int, int]:  # noqa: ARG002 - a Parquet file has no lines
        return {}

    def close(self) -> None:
        self._file.close()


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _csv_problem(path: Path, error: Exception, rows_read: int) -> Violation:
    """Describe what stopped the reader, as a violation of the file."""
    where, message = f"after row {rows_read:,}", _first_line(error)
    cause, hint = causes.OTHER, ""
    lines: tuple[int, ...] = ()
    if "straddling" in message:
        value = f"a row longer than {CSV_BLOCK_BYTES:,} bytes {where}"
        expected = "shorter rows; look for an unclosed quote"
    elif "out of sync" in message:
        value = f"a quoted value that spans several lines {where}"
        expected = "one line a row; look for an unclosed quote"
    elif position := not_utf8(path):
        # This includes rows of the wrong width, which the reader cannot hand over in that case.
        byte, line = position
        value, expected = f"a byte that is not UTF-8 (0x{byte:02x})", "a CSV file saved as UTF-8"
        cause, lines = "not-utf8", (line,)
        hint = "it may be Windows-1252 or Latin-1: save it as UTF-8, for example as 'CSV UTF-8' in Excel"
    else:
        value, expected = shown(f"unreadable {where} ({message})"), "a CSV file"
    return Violation(column=FILE, rows=(), count=0, value=value, expected=expected, cause=cause, hint=hint, lines=lines)


def _other_extension(path: Path) -> DataError:
    suffix = path.suffix.lower() or "missing"
    _, hint = formats.content(path)
    return file_error(str(path), f"the extension is {suffix}", " or ".join(EXTENSIONS), cause="extension", hint=hint)


def _not_parquet(path: Path, error: Exception) -> DataError:
    kind = "CSV" if formats.looks_like_csv(path) else formats.real_format(path)
    if kind in {None, formats.PARQUET}:
        return file_error(str(path), f"unreadable ({_first_line(error)})", "a Parquet file")
    hint = "give the file the extension .csv" if kind == "CSV" else formats.remedy(str(kind))
    value = f"the content is {kind}, not Parquet"
    return file_error(str(path), value, "a Parquet file", cause="other-format", hint=hint)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
