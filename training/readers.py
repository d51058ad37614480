"""Tables on disk as streams of Arrow batches: CSV and Parquet, one thread, memory independent of the file's size."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from app.schemas import CODES, IBM_COLUMNS
from training.files import EXTENSIONS
from training.violations import FILE, Findings, RowNumbers, file_error

CSV_BLOCK_BYTES: Final = 4 * 1024 * 1024
HEADER_BYTES: Final = 64 * 1024
RAGGED_ROWS_KEPT: Final = 1000
"""A CSV file with more rows of a wrong width is not read further: it is another format."""

Batches = Iterator[tuple[RowNumbers, Mapping[str, pa.Array]]]


class Table(Protocol):
    """An open table; ``fields`` are its columns as they stand in the file."""

    fields: list[pa.Field]

    def batches(self, wanted: Mapping[str, str], batch_rows: int) -> Batches:
        """Yield 1-based data row numbers, and columns under the keys of ``wanted`` (its values name the file's)."""

    def close(self) -> None: ...


def open_table(path: Path, findings: Findings) -> AbstractContextManager[Table]:
    """Open a CSV or Parquet file, told apart by extension.

    Args:
        path: a local file.
        findings: receives what only a reader sees, such as rows of a wrong width.

    Raises:
        DataError: unknown extension, empty file, or not a file of that format.
    """
    suffix = path.suffix.lower()
    if suffix not in EXTENSIONS:
        raise file_error(str(path), f"the extension is {suffix or 'missing'}", " or ".join(EXTENSIONS))
    if path.stat().st_size == 0:
        raise file_error(str(path), "the file is empty", "a header and at least one customer")
    table: Table = _Csv(path, findings) if suffix == ".csv" else _Parquet(path, findings)
    return closing(table)


class _Csv:
    def __init__(self, path: Path, findings: Findings) -> None:
        self._path = path
        self._findings = findings
        self._header = _header(path)
        self._ragged: list[int] = []
        self.fields = [pa.field(name, pa.string()) for name in self._header]

    def batches(self, wanted: Mapping[str, str], batch_rows: int) -> Batches:  # noqa: ARG002 - a CSV file comes in blocks of bytes
        # Positions stand for names, which may repeat in the file.
        position = {ours: str(self._header.index(name)) for ours, name in wanted.items()}
        kinds = {
            position[ours]: pa.dictionary(pa.int32(), pa.string()) if ours in CODES else pa.string() for ours in wanted
        }
        kept = 0
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
                    yield self._numbers(kept, batch.num_rows), {ours: batch[at] for ours, at in position.items()}
                    kept += batch.num_rows
        except pa.ArrowInvalid as error:
            # After that many ragged rows the reader was stopped by us; a header and nothing else has no row to judge.
            if len(self._ragged) < RAGGED_ROWS_KEPT and "Could not skip initial" not in str(error):
                self._findings.add_column(FILE, *_csv_problem(str(error), kept))

    def close(self) -> None:
        """Nothing to close: the file is open only while batches are read."""

    def _ragged_row(self, row: Any) -> str:
        number = row.number - 1
        self._ragged.append(number)
        self._findings.add_cells(
            FILE,
            f"{row.expected_columns} fields, as in the header",
            np.array([number]),
            pa.array([f"{row.actual_columns} fields"]),
        )
        return "skip" if len(self._ragged) < RAGGED_ROWS_KEPT else "error"

    def _numbers(self, kept: int, rows: int) -> RowNumbers:
        """Data row numbers of the next ``rows`` rows, those of a wrong width counted too."""
        index = np.arange(kept, kept + rows, dtype=np.int64)
        ragged = np.array(self._ragged, dtype=np.int64)
        before = np.searchsorted(ragged - np.arange(len(ragged)) - 1, index, side="right")
        return index + before + 1


class _Parquet:
    def __init__(self, path: Path, findings: Findings) -> None:
        self._findings = findings
        try:
            schema = pq.read_schema(path)
            categories = [f.name for f in schema if is_text(f.type) and IBM_COLUMNS.get(f.name, f.name) in CODES]
            # Small buffers instead of whole column chunks: a row group may hold the whole file.
            self._file = pq.ParquetFile(path, read_dictionary=categories, pre_buffer=False, buffer_size=1024 * 1024)
        except (pa.ArrowException, OSError) as error:
            raise file_error(str(path), f"unreadable ({_first_line(error)})", "a Parquet file") from error
        self.fields = list(self._file.schema_arrow)

    def batches(self, wanted: Mapping[str, str], batch_rows: int) -> Batches:
        seen = 0
        try:
            for batch in self._file.iter_batches(batch_rows, columns=list(wanted.values()), use_threads=False):
                rows = np.arange(seen + 1, seen + 1 + batch.num_rows, dtype=np.int64)
                yield rows, {ours: batch[name] for ours, name in wanted.items()}
                seen += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            self._findings.add_column(FILE, f"unreadable after row {seen:,} ({_first_line(error)})", "a Parquet file")

    def close(self) -> None:
        self._file.close()


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _header(path: Path) -> list[str]:
    with path.open("rb") as file:
        lines = file.read(HEADER_BYTES + 1).splitlines()
    if lines and len(lines[0]) > HEADER_BYTES:
        raise file_error(str(path), f"the header has more than {HEADER_BYTES:,} bytes", "a CSV file with a header")
    try:
        text = lines[0].decode("utf-8-sig") if lines else ""
    except UnicodeDecodeError as error:
        raise file_error(str(path), "the header is not UTF-8 text", "a CSV file saved as UTF-8") from error
    names = next(csv.reader([text]), [])
    if not any(name.strip() for name in names):
        raise file_error(str(path), "the first line is blank", "a header with the column names")
    if len(names) == 1 and (other := next((d for d in ";\t|" if d in text), None)):
        raise file_error(str(path), f"the columns are separated by {other!r}", "a CSV file separated by commas")
    return names


def _csv_problem(message: str, kept: int) -> tuple[str, str]:
    where = f"after row {kept:,}"
    if "UTF8" in message:
        return f"bytes that are not UTF-8 {where}", "a CSV file saved as UTF-8"
    if "straddling" in message:
        return f"a row longer than {CSV_BLOCK_BYTES:,} bytes {where}", "shorter rows; look for a quote never closed"
    if "out of sync" in message:
        return f"a quoted value that goes over lines {where}", "one line a row; look for a quote never closed"
    return f"unreadable {where} ({message})", "a CSV file"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
