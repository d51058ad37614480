"""Collects everything that is wrong with a data file, in bounded memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from app.contract import Contract
from training import causes
from training.hints import meant
from training.notes import Notes

ROWS_SHOWN: Final = 10
LINES_SHOWN: Final = 50
"""Lines of causes in a message, and again lines of details; the others are only counted."""
VALUES_KEPT: Final = 20
"""Distinct wrong values stored for each column, expectation and cause; the others are counted together."""
VALUE_CHARACTERS: Final = 60
FILE: Final = "(file)"
"""Takes the place of the column name if a violation concerns the file itself."""

BLANK: Final = "(blank)"
_OTHERS: Final = "(other values)"

RowNumbers = npt.NDArray[np.int64]
Batches = Iterator[tuple[RowNumbers, Mapping[str, pa.Array]]]
"""Data row numbers, and columns by name."""
Judge = Callable[[pa.Array], npt.NDArray[np.object_]]
"""Returns the code of the cause of each wrong value; the values are an Arrow string array."""


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One wrong value of one column, or the whole column or file when ``rows`` is empty.

    Attributes:
        rows: the first ten data rows with it, counted from 1 without the header.
        lines: where these rows begin in a text file, whose first line is 1; empty for a Parquet file.
        places: the part and the row in it of each of these rows, if the table is in several files.
        count: how many rows there are.
        cause: a code of :mod:`training.causes`.
        meant: the accepted value or name that was probably meant, or empty.
        hint: what else helps to correct it, besides the remedy of its cause.
    """

    column: str
    rows: tuple[int, ...]
    count: int
    value: str
    expected: str
    cause: str = causes.OTHER
    meant: str = ""
    hint: str = ""
    lines: tuple[int, ...] = ()
    places: tuple[str, ...] = ()

    def __str__(self) -> str:
        # The remedy for wrong values appears once, in the line about their cause.
        remedy = causes.hint(self) if self.cause not in causes.VALUES else ""
        ending = f"; {remedy}" if remedy else ""
        return f"{self.column}:{self._where()} {self.value}; expected {self.expected}{ending}"

    def _where(self) -> str:
        lines = f"{'line' if len(self.lines) == 1 else 'lines'} {', '.join(map(str, self.lines))}" if self.lines else ""
        if not self.rows:
            return f" {lines}:" if lines else ""
        more = f" and {self.count - len(self.rows):,} more" if self.count > len(self.rows) else ""
        plural = "row" if self.count == 1 else "rows"
        return f" {plural} {', '.join(self.places or map(str, self.rows))}{more}{f' ({lines})' if lines else ''}:"


class DataError(Exception):
    """A data file that cannot be used, with every reason; nothing was trained or written."""

    def __init__(self, source: str, violations: Iterable[Violation]) -> None:
        self.source = source
        self.violations = tuple(violations)
        super().__init__(source, self.violations)

    @property
    def problems(self) -> int:
        """Number of wrong values, wrong columns and faults of the file itself."""
        return sum(max(violation.count, 1) for violation in self.violations)

    def as_dict(self) -> dict[str, object]:
        """Everything for programs, ready for JSON: the counts, the line of each cause, and each cause by column."""
        return {
            "source": self.source,
            "problems": self.problems,
            "causes": [causes.line(group) for group in causes.grouped(self.violations)],
            "groups": list(causes.groups_as_dicts(self.violations, rows_shown=ROWS_SHOWN)),
        }

    def __str__(self) -> str:
        groups = causes.grouped(self.violations)
        many = f"{self.problems:,} {'problem' if self.problems == 1 else 'problems'}"
        why = f"{len(groups):,} {'cause' if len(groups) == 1 else 'causes'}"
        details = [detail for group in groups for detail in causes.details(group)]
        lines = [f"{self.source}: {many} ({why})"]
        lines += _bounded([causes.line(group) for group in groups], indent="  ", what="more causes")
        lines += _bounded(details, indent="    ", what="more")
        return "\n".join(lines)


def file_error(source: str, value: str, expected: str, *, cause: str = causes.OTHER, hint: str = "") -> DataError:
    """The error for a file that cannot be read at all."""
    wrong = Violation(column=FILE, rows=(), count=0, value=value, expected=expected, cause=cause, hint=hint)
    return DataError(source, [wrong])


class Findings:
    """Gathers violations batch by batch; memory stays bounded however many rows are wrong."""

    def __init__(self, contract: Contract) -> None:
        self.changes = Notes()
        """Values that are read differently from how they are written."""
        self.contract = contract
        self._whole: list[Violation] = []
        self._cells: dict[tuple[str, str, str], dict[str, _Kept]] = {}
        self._lines: Mapping[int, int] = {}
        self._parts: list[tuple[int, str]] = []
        self._stopped = ""

    def __bool__(self) -> bool:
        return bool(self._whole or self._cells)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was changed or looks odd in a usable file."""
        return self.changes.sentences()

    def add_column(
        self, column: str, value: str, expected: str, *, cause: str = causes.OTHER, meant: str = "", hint: str = ""
    ) -> None:
        """Add a violation of a whole column or of the file."""
        value = shown(value)
        self.add(
            Violation(
                column=column, rows=(), count=0, value=value, expected=expected, cause=cause, meant=meant, hint=hint
            )
        )

    def add(self, violation: Violation) -> None:
        self._whole.append(violation)

    def add_cells(self, column: str, expected: str, rows: RowNumbers, values: pa.Array, judge: Judge) -> None:
        """Add wrong values of one column, at the data rows ``rows`` (1-based); ``values`` may be of any Arrow type."""
        if not len(rows):
            return
        # Cut before grouping: a field may be megabytes long. One character more than is shown marks a cut value.
        text = pc.utf8_slice_codeunits(pc.cast(values, pa.string(), safe=False), 0, VALUE_CHARACTERS + 1)
        grouped = pc.fill_null(text, "").dictionary_encode()
        codes = np.asarray(grouped.indices)
        judged = judge(grouped.dictionary)
        for cause in dict.fromkeys(judged.tolist()):
            alike = np.flatnonzero(judged == cause)
            by_value = self._cells.setdefault((column, expected, cause), {})
            rest = np.isin(codes, alike)
            for code in alike[: 2 * VALUES_KEPT].tolist():
                value = grouped.dictionary[code].as_py()
                key = shown(repr(value)) if value.strip() else BLANK
                if key in by_value or len(by_value) < VALUES_KEPT:
                    here = codes == code
                    by_value.setdefault(key, _Kept(value)).add(rows[here])
                    rest &= ~here
            if rest.any():
                by_value.setdefault(_OTHERS, _Kept("")).add(rows[rest])

    def stop(self, why: str) -> None:
        """Note that the file was not read to its end because of the violations so far."""
        self._stopped = why

    def rows_shown(self) -> list[int]:
        """The data rows that messages name, ascending; :meth:`place` takes their lines in the file."""
        cell = (value for values in self._cells.values() for value in values.values())
        return sorted({row for value in cell for row in value.rows})

    def place(self, lines: Mapping[int, int]) -> None:
        """Set the line of the file in which each row of :meth:`rows_shown` begins."""
        self._lines = lines

    def begin_part(self, name: str, rows_before: int) -> None:
        """Note that the rows after ``rows_before`` are those of another part of the table."""
        self._parts.append((rows_before, name))

    @property
    def part(self) -> str:
        """Name of the part that is being read; empty for a table in one file."""
        return self._parts[-1][1] if self._parts else ""

    def _place(self, row: int) -> str:
        """A row as its part counts it, and the part."""
        before, name = self._parts[bisect_left(self._parts, (row,)) - 1]
        return f"{row - before} of {name}"

    def violations(self) -> tuple[Violation, ...]:
        """All violations: whole columns first, then values in order of appearance."""
        cells = [
            Violation(
                column=column,
                rows=tuple(cell.rows),
                count=cell.count,
                value=key,
                expected=expected,
                cause=cause,
                meant=meant(self.contract, column, cell.value),
                hint=self._hint(cause),
                lines=tuple(self._lines[row] for row in cell.rows if row in self._lines),
                places=tuple(map(self._place, cell.rows)) if self._parts else (),
            )
            for (column, expected, cause), values in self._cells.items()
            for key, cell in values.items()
        ]
        if self._stopped and cells:
            cells[0] = replace(cells[0], hint="; ".join(filter(None, (cells[0].hint, self._stopped))))
        return (*self._whole, *cells)

    def _hint(self, cause: str) -> str:
        """What the contract adds to the remedy of a cause."""
        if cause == causes.BAD_ID:
            key = self.contract.key
            return f"use {listed(['letters', 'digits', *key.symbols])} only, at most {key.max_length} of them"
        nullable = [feature.name for feature in self.contract.features if feature.nullable]
        return f"only {listed(nullable)} may be left blank" if nullable and cause == causes.MISSING_WORD else ""

    def raise_if_any(self, source: str) -> None:
        if self:
            raise DataError(source, self.violations())


class _Kept:
    """A wrong value, the first rows that have it, and the number of all rows that do."""

    def __init__(self, value: str) -> None:
        self.value = value
        self.rows: list[int] = []
        self.count = 0

    def add(self, rows: RowNumbers) -> None:
        self.rows += rows[: ROWS_SHOWN - len(self.rows)].tolist()
        self.count += len(rows)


def always(cause: str) -> Judge:
    """The judge of values that are wrong for one reason."""
    return lambda values: np.full(len(values), cause, dtype=object)


def listed(words: list[str]) -> str:
    """Enumerate words in a sentence: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def first_line(error: Exception) -> str:
    """The first line of what an error says; its kind if it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def shown(value: str) -> str:
    """Shorten ``value`` for a message."""
    return value if len(value) <= VALUE_CHARACTERS else value[:VALUE_CHARACTERS] + "…"


def _bounded(lines: list[str], *, indent: str, what: str) -> list[str]:
    more = len(lines) - LINES_SHOWN
    return [indent + text for text in lines[:LINES_SHOWN]] + ([f"{indent}and {more:,} {what}"] if more > 0 else [])
