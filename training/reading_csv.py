"""Tables of text as streams of Arrow batches: one thread, memory independent of the file's size."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from app.contract import Reading
from app.feature import Feature
from training import causes, formats
from training.hints import number_causes
from training.lines import lines_of, swallowed
from training.names import Names
from training.notes import counted
from training.reading_bytes import ByteError, Compression, TextFile, rows_in
from training.reading_columns import Columns
from training.reading_encoding import byte_refusal, detect, unpacking_error, words
from training.reading_layout import Known, Layout, find_layout
from training.violations import (
    FILE,
    Batches,
    DataError,
    Findings,
    RowNumbers,
    Violation,
    always,
    file_error,
    first_line,
    shown,
)

BLOCK_BYTES: Final = 4 * 1024 * 1024
SAMPLE_BYTES: Final = 512 * 1024
RAGGED_ROWS_KEPT: Final = 1000
"""A file with more rows of the wrong width is read no further: it has another format."""
ROW_CHARACTERS: Final = 10_000
"""A longer row of the wrong width is not examined."""
HEADER_BYTES: Final = 64 * 1024


class CsvTable:
    """A table of text: comma-separated or with another delimiter, in any encoding, packed or not."""

    def __init__(
        self,
        path: Path,
        findings: Findings,
        names: Names,
        reading: Reading,
        compression: Compression | None = None,
    ) -> None:
        self._findings = findings
        self._reading = reading
        self._known = Known(names)
        try:
            self._file, sentence = detect(path, compression, reading)
        except ByteError as error:
            raise self._byte_error(error) from error
        except (pa.ArrowException, OSError) as error:
            raise unpacking_error(TextFile(path=path, compression=compression), error) from error
        if sentence:
            findings.changes.add_sentence(sentence)
        self._layout, self._start = _layout(self._file, self._known, reading)
        self._header = list(self._layout.names)
        self._names = names
        guessed = self._file.encoding == "cp1252" and reading.encoding is None
        self._columns = Columns(names.contract, reading, findings, self._rescan, guessed=guessed)
        self._ragged: list[int] = []
        self.rows = 0
        self.done = 0.0
        self._position: dict[str, str] = {}
        self._by_position = _numbers_of(names, self._header)
        self.fields = [pa.field(name, pa.string()) for name in self._header[self._layout.row_names :]]

    def batches(self, columns: Mapping[str, str], batch_rows: int) -> Batches:  # noqa: ARG002 - a file of text comes in blocks of bytes
        # Positions instead of names, which may repeat in the file.
        self._position = {name: str(self._header.index(theirs)) for name, theirs in columns.items()}
        rows_read = 0
        # The reader takes UTF-8, in which most characters are half as long as in UTF-16.
        block = BLOCK_BYTES * (2 if self._file.encoding.startswith("utf-16") else 1)
        try:
            with self._reader(list(self._position), self._ragged_row) as reader:
                for number, batch in enumerate(reader, start=1):
                    self.done = min(1.0, (self._start + number * block) / max(self._file.size, 1))
                    rows = _row_numbers(self._ragged, rows_read, batch.num_rows)
                    texts = {name: batch[at] for name, at in self._position.items()}
                    yield rows, self._columns.clean(texts, rows)
                    rows_read += batch.num_rows
        except pa.ArrowInvalid as error:
            # After too many ragged rows we stopped the reader ourselves; a file with only a header has no row to check.
            if len(self._ragged) < RAGGED_ROWS_KEPT and "Empty CSV file" not in str(error):
                self._findings.add(_problem(error, rows_read))
        else:
            self._check_rows(rows_read)
        self.rows = rows_read + len(self._ragged)
        self._describe()

    def lines(self, rows: Sequence[int]) -> Mapping[int, int]:
        if not rows:
            return {}
        with self._file.as_utf8(self._start) as stream:
            return lines_of(stream, rows, before=self._layout.lines, delimiter=self._layout.delimiter)

    def close(self) -> None:
        """Nothing to close: the file is open only while batches are read."""

    def _reader(self, names: Sequence[str], ragged: Any) -> Any:
        kinds = {
            self._position[name]: pa.dictionary(pa.int32(), pa.string())
            if name in self._names.few_values
            else pa.string()
            for name in names
        }
        return pa_csv.open_csv(
            self._file.as_utf8(self._start),
            pa_csv.ReadOptions(
                use_threads=False,
                block_size=BLOCK_BYTES,
                column_names=[str(i) for i in range(len(self._header))],
            ),
            pa_csv.ParseOptions(delimiter=self._layout.delimiter, invalid_row_handler=ragged),
            pa_csv.ConvertOptions(column_types=kinds, include_columns=list(kinds)),
        )

    def _rescan(self, names: Sequence[str]) -> Batches:
        """Some columns from the first row on, once more; rows of the wrong width are skipped without a word."""
        ragged: list[int] = []

        def skip(row: Any) -> str:
            ragged.append(row.number)
            return "skip" if len(ragged) < RAGGED_ROWS_KEPT else "error"

        rows_read = 0
        try:
            with self._reader(names, skip) as reader:
                for batch in reader:
                    rows = _row_numbers(ragged, rows_read, batch.num_rows)
                    yield rows, {name: batch[self._position[name]] for name in names}
                    rows_read += batch.num_rows
        except pa.ArrowInvalid:
            # The first pass meets the same fault, and reports it.
            return

    def _check_rows(self, rows_read: int) -> None:
        """Compare the rows with the lines: a quote that is never closed may swallow rows without an error."""
        if not self._file.quotes or rows_in(self._file, self._start) == rows_read + len(self._ragged):
            return
        with self._file.as_utf8(self._start) as stream:
            layout = self._layout
            at = swallowed(stream, len(self._header), before=layout.lines, delimiter=layout.delimiter)
        if at is not None:
            self._findings.add(
                Violation(
                    column=FILE,
                    rows=(),
                    count=0,
                    value="a quoted value goes on over the rows below it",
                    expected="one line a row; look for an unclosed quote",
                    cause="open-quote",
                    lines=(at,),
                )
            )

    def _ragged_row(self, row: Any) -> str:
        number = row.number
        self._ragged.append(number)
        at, split = np.array([number]), self._split_number(row.text)
        if split is None:
            expected = f"{row.expected_columns} fields, as in the header"
            counts = pa.array([f"{row.actual_columns} fields"])
            self._findings.add_cells(FILE, expected, at, counts, always(causes.WRONG_WIDTH))
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
        if self._layout.delimiter != "," or len(text) > ROW_CHARACTERS:
            return None
        cells = next(csv.reader([text]), [])
        if not 0 < len(cells) - len(self._header) <= len(self._by_position) or not self._may_be_last(cells[-1].strip()):
            return None
        for position, feature in self._by_position.items():
            value = pa.array([f"{cells[position].strip()},{cells[position + 1].strip()}"])
            if number_causes(feature, value)[0] in causes.WITH_COMMA:
                return feature, value
        return None

    def _may_be_last(self, cell: str) -> bool:
        """Whether the last field of a row that is too wide fits the last column, moved there by a split number."""
        is_label = self._names.known(self._header[-1]) == self._names.contract.label.name
        return cell.lower() in self._names.label_texts if is_label else bool(cell)

    def _byte_error(self, error: ByteError) -> DataError:
        """The refusal of a byte, with the names of the columns if the header can be read."""
        try:
            layout, start = _layout(replace(error.file, encoding="latin-1"), self._known, self._reading)
        except DataError:
            return byte_refusal(error, ",", (), 0)
        return byte_refusal(error, layout.delimiter, layout.names, start)

    def _describe(self) -> None:
        """Say how the file was read, if it is more than a plain CSV file."""
        packed = f"{self._file.compression}-compressed " if self._file.compression else ""
        delimiter = self._layout.delimiter
        marks = sorted(set(self._columns.numbers.decimals.values()) - {"."})
        plain = not packed and self._file.encoding == "utf-8" and delimiter == "," and not marks
        if not plain or formats.misnamed(self._file.path, text=True):
            what = [f"{packed}CSV", words(self._file.encoding), f"delimiter {delimiter!r}"]
            what += [f"decimal {mark!r}" for mark in marks]
            self._findings.changes.add_sentence(f"The file was read as {', '.join(what)}.")
        if skipped := self._layout.skipped:
            lines, first = counted(len(skipped), "line", "lines"), repr(shown(skipped[0]))
            rest = f"were ignored, the first of them {first}" if len(skipped) > 1 else f"was ignored: {first}"
            self._findings.changes.add_sentence(f"{lines} above the header in line {self._layout.lines} {rest}.")
        if self._layout.row_names:
            self._findings.changes.add_sentence(
                "The first column, for which the header has no name, holds R's row names."
            )


def _layout(file: TextFile, known: Known, reading: Reading) -> tuple[Layout, int]:
    """The layout, and the offset of the first row after unpacking."""
    data = file.head(SAMPLE_BYTES)[file.bom :]
    if len(data) % 2 and file.encoding.startswith("utf-16"):
        data = data[:-1]
    text = data.decode(file.encoding, errors="replace")
    if file.bom + len(data) >= SAMPLE_BYTES - 1:
        # The last line may be cut.
        cut = max(text.rfind("\n"), text.rfind("\r"))
        text = text[: cut + 1] if cut >= 0 else text
    first = text.lstrip("\r\n").split("\n", 1)[0].split("\r", 1)[0]
    if len(first) > HEADER_BYTES:
        raise file_error(
            str(file.path), f"the header has more than {HEADER_BYTES:,} bytes", "a CSV file with a header"
        )  # fmt: skip
    layout = find_layout(str(file.path), text, known, reading.delimiter)
    lines = io.StringIO(text, newline="")
    above = "".join(line for _, line in zip(range(layout.lines), lines, strict=False))
    return layout, file.bom + len(above.encode(file.encoding))


def _numbers_of(names: Names, header: Sequence[str]) -> dict[int, Feature]:
    """The numbers that may have decimals, by position."""
    features = {at: names.contract.by_name.get(names.known(theirs) or "") for at, theirs in enumerate(header)}
    return {at: feature for at, feature in features.items() if feature and feature.type == "number"}


def _row_numbers(ragged: Sequence[int], rows_read: int, rows: int) -> RowNumbers:
    """Data row numbers of the next ``rows`` rows; rows of the wrong width count too."""
    index = np.arange(rows_read, rows_read + rows, dtype=np.int64)
    skipped = np.array(ragged, dtype=np.int64)
    before = np.searchsorted(skipped - np.arange(len(skipped)) - 1, index, side="right")
    return index + before + 1


def _problem(error: Exception, rows_read: int) -> Violation:
    """Describe what stopped the reader, as a violation of the file."""
    where = f"after row {rows_read:,}"
    message = first_line(error)
    if "straddling" in message:
        value = f"a row longer than {BLOCK_BYTES:,} bytes {where}"
        expected = "shorter rows; look for an unclosed quote"
    elif "out of sync" in message:
        value = f"a quoted value that spans several lines {where}"
        expected = "one line a row; look for an unclosed quote"
    else:
        value, expected = shown(f"unreadable {where} ({message})"), "a CSV file"
    return Violation(column=FILE, rows=(), count=0, value=value, expected=expected)
