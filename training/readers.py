"""Opens a table on disk, whatever its format: by its first bytes, never by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from app.contract import Reading
from training import formats
from training.names import Names
from training.reading_bytes import COMPRESSIONS, Compression
from training.reading_csv import CsvTable
from training.reading_encoding import other_format
from training.reading_parquet import ParquetTable, is_text
from training.reading_parts import Parts, PartsTable
from training.reading_xlsx import XlsxTable
from training.violations import Batches, Findings, file_error

__all__ = ["Table", "is_text", "open_table"]


class Table(Protocol):
    """An open table.

    Attributes:
        fields: its columns as the file has them.
        rows: the data rows, once all are read.
        done: the share of the file that is read, from 0 to 1, about; 0 if it is not known.
    """

    fields: list[pa.Field]
    done: float

    @property
    def rows(self) -> int: ...

    def batches(self, columns: Mapping[str, str], batch_rows: int) -> Batches:
        """Yield 1-based data row numbers, and columns by the keys of ``columns``, whose values are the file's names."""

    def lines(self, rows: Sequence[int]) -> Mapping[int, int]:
        """The line of the file in which each of the ascending data rows begins; empty for a format without lines."""

    def close(self) -> None: ...


def open_table(
    source: Path | Parts, findings: Findings, names: Names, reading: Reading | None = None
) -> AbstractContextManager[Table]:
    """Open a table: CSV with any delimiter, encoding and packing, Excel, Parquet, or parts of these.

    Numbers of text columns come with a decimal point and nothing else. How the file was read is in the notes, if it is
    not plain CSV or Parquet.

    Args:
        source: a local file, or parts that are read one after another.
        findings: receives what only a reader sees, such as rows of the wrong width and numbers with two readings.
        names: the columns of the contract.
        reading: options, which decide before the contract's own.

    Raises:
        DataError: empty, of another format, or not readable in one way.
    """
    options = merged(names.contract.reading, reading)
    if isinstance(source, Parts):
        table: Table = PartsTable(source, findings, lambda path, part: _open(path, part, names, options))
    else:
        table = _open(source, findings, names, options)
    return closing(table)


def merged(contract: Reading, options: Reading | None) -> Reading:
    """The contract's options, replaced by those that are given."""
    if options is None:
        return contract
    return contract.model_copy(update=options.model_dump(exclude_unset=True))


def _open(path: Path, findings: Findings, names: Names, reading: Reading) -> Table:
    if path.stat().st_size == 0:
        raise file_error(str(path), "the file is empty", "a header and at least one customer")
    kind = formats.real_format(path)
    if kind == formats.PARQUET:
        return ParquetTable(path, findings, names, reading)
    if kind == formats.XLSX:
        return XlsxTable(path, findings, names, reading)
    if kind is not None and kind not in formats.READABLE:
        raise other_format(path, kind)
    compression: Compression | None = next((c for c in COMPRESSIONS if c == kind), None)
    return CsvTable(path, findings, names, reading, compression)
