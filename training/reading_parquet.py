"""Parquet files as streams of Arrow batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.contract import Reading
from training import formats
from training.names import Names
from training.reading_columns import Columns
from training.violations import FILE, Batches, DataError, Findings, file_error, first_line


class ParquetTable:
    """A Parquet file; its text columns are cleaned as those of a text file are."""

    def __init__(self, path: Path, findings: Findings, names: Names, reading: Reading) -> None:
        self._path = path
        self._findings = findings
        try:
            schema = pq.read_schema(path)
            few = [f.name for f in schema if _is_plain_text(f.type) and names.known(f.name) in names.few_values]
            # Use small buffers instead of whole column chunks: a row group may hold the whole file.
            self._file = pq.ParquetFile(path, read_dictionary=few, pre_buffer=False, buffer_size=1024 * 1024)
        except (pa.ArrowException, OSError) as error:
            raise _not_parquet(path, error) from error
        if formats.misnamed(path, text=False):
            findings.changes.add_sentence("The file was read as Parquet, whatever its name says.")
        self.fields = list(self._file.schema_arrow)
        self._position: Mapping[str, str] = {}
        self.rows = 0
        self.done = 0.0
        self._columns = Columns(names.contract, reading, findings, self._rescan)

    def batches(self, columns: Mapping[str, str], batch_rows: int) -> Batches:
        self._position = columns
        seen = 0
        try:
            for batch in self._file.iter_batches(batch_rows, columns=list(columns.values()), use_threads=False):
                rows = np.arange(seen + 1, seen + 1 + batch.num_rows, dtype=np.int64)
                named = {name: batch[theirs] for name, theirs in columns.items()}
                texts = {name: plain_text(column) for name, column in named.items() if is_text(_values(column.type))}
                cleaned = named | self._columns.clean(texts, rows)
                self.rows = seen = seen + batch.num_rows
                self.done = seen / self._file.metadata.num_rows
                yield rows, cleaned
        except (pa.ArrowException, OSError) as error:
            self._findings.add_column(FILE, f"unreadable after row {seen:,} ({first_line(error)})", "a Parquet file")

    def lines(self, rows: Sequence[int]) -> Mapping[int, int]:  # noqa: ARG002 - a Parquet file has no lines
        return {}

    def close(self) -> None:
        self._file.close()

    def _rescan(self, names: Sequence[str]) -> Batches:
        seen = 0
        theirs = [self._position[name] for name in names]
        with pq.ParquetFile(self._path, pre_buffer=False, buffer_size=1024 * 1024) as file:
            for batch in file.iter_batches(columns=theirs, use_threads=False):
                rows = np.arange(seen + 1, seen + 1 + batch.num_rows, dtype=np.int64)
                yield rows, {name: _decoded(plain_text(batch[self._position[name]])) for name in names}
                seen += batch.num_rows


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def plain_text(column: pa.Array) -> pa.Array:
    """The same texts as the arrays that every function of Arrow takes: strings, or a dictionary of strings."""
    if not pa.types.is_dictionary(column.type):
        return column if pa.types.is_string(column.type) else pc.cast(column, pa.string())
    texts = column.dictionary
    if pa.types.is_string(texts.type):
        return column
    return pa.DictionaryArray.from_arrays(column.indices, pc.cast(texts, pa.string()))


def _decoded(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _values(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_plain_text(kind: pa.DataType) -> bool:
    # Arrow reads only these two into dictionaries itself.
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _not_parquet(path: Path, error: Exception) -> DataError:
    return file_error(str(path), f"unreadable ({first_line(error)})", "a Parquet file")
