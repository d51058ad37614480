"""Reads the column ``as_of``: the day on which each row was known, in one way or not at all."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from training import causes
from training.violations import Findings, RowNumbers, Violation, always

Days = npt.NDArray[np.datetime64]
"""A day for each row, dtype ``datetime64[D]``."""

EXPECTED: Final = "a day such as 2026-01-31, with or without a time"
_TIME: Final = r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?(?:Z|UTC|[+-]\d{2}:?(?:\d{2})?))?)?"
_YEAR_FIRST: Final = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})" + _TIME)
_YEAR_LAST: Final = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})" + _TIME)
_YEARS: Final = range(1900, 2200)
_MONTHS: Final = 12
_HINT: Final = "write days with the year first, as in 2026-01-31"

_Part = tuple[int, int, int, bool]
"""Year, the next two numbers in their order, and whether these are day and month in an order that is open."""


def can_hold(kind: pa.DataType) -> bool:
    """Whether a column of this Arrow type, no text, can hold days."""
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


@dataclass
class DayColumn:
    """Collects the days of a table batch by batch; what ``31/01/2026`` means is decided by the whole column.

    A time of day is dropped: the day is the one that is written, in the time zone in which it is written.
    """

    name: str
    findings: Findings
    _parts: list[npt.NDArray[np.int32]] = field(default_factory=list)
    _day_first: str = ""
    _month_first: str = ""
    _open: str = ""
    _year_last: str = ""

    def add(self, column: pa.Array, rows: RowNumbers) -> None:
        """Read one batch; blank and wrong days are reported with their rows."""
        texts = pc.fill_null(_texts(column), "").dictionary_encode()
        codes = np.asarray(texts.indices)
        parts = [_read(text.strip()) for text in texts.dictionary.to_pylist()]
        known = np.array([part is not None for part in parts], dtype=bool)[codes]
        if not known.all():
            blank = np.array([not text.strip() for text in texts.dictionary.to_pylist()], dtype=bool)[codes]
            for wrong, cause in ((blank, causes.BLANK), (~known & ~blank, causes.OTHER)):
                values = pc.cast(texts, pa.string()).filter(pa.array(wrong))
                self.findings.add_cells(self.name, EXPECTED, rows[wrong], values, always(cause))
        for text, part in zip(texts.dictionary.to_pylist(), parts, strict=True):
            if part is not None and part[3]:
                self._learn(text.strip(), part)
        numbers = np.array([part or (0, 0, 0, False) for part in parts], dtype=np.int32).reshape(-1, 4)
        self._parts.append(numbers[codes])

    def days(self) -> Days | None:
        """The day of each row, once all batches are added; ``None`` and a violation if they cannot be told."""
        if self._day_first and self._month_first:
            value = f"{self._day_first!r} has the day first, and {self._month_first!r} the month"
            self._refuse(value, "days that are all written alike")
        elif self._open and not (self._day_first or self._month_first):
            self._refuse_open()
        if self.findings or not self._parts:
            return None
        if self._year_last:
            first = "month" if self._month_first else "day"
            example = self._month_first or self._day_first or self._year_last
            self.findings.changes.add_sentence(f"Days of {self.name} were read with the {first} first: {example!r}.")
        year, one, two, open_ = np.concatenate(self._parts).T
        swapped = (open_ == 1) & (not self._month_first)
        month, day = np.where(swapped, two, one), np.where(swapped, one, two)
        months = (year.astype(np.int64) - 1970) * _MONTHS + month - 1
        days: Days = months.astype("datetime64[M]").astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")
        return days

    def _learn(self, text: str, part: _Part) -> None:
        """Note what a day with its year last shows about the order of the column."""
        self._year_last = self._year_last or text
        if part[1] > _MONTHS:
            self._day_first = self._day_first or text
        elif part[2] > _MONTHS:
            self._month_first = self._month_first or text
        elif part[1] != part[2]:
            self._open = self._open or text

    def _refuse_open(self) -> None:
        part = _read(self._open)
        if part is None:  # only a text that was read is kept
            raise ValueError(self._open)
        year, one, two, _ = part
        readings = f"{date(year, two, one):%-d %B %Y} or {date(year, one, two):%-d %B %Y}"
        value = f"{self._open!r} can be {readings}, and no day above 12 in the column decides"
        self._refuse(value, "days that can be read in one way")

    def _refuse(self, value: str, expected: str) -> None:
        self.findings.add(Violation(column=self.name, rows=(), count=0, value=value, expected=expected, hint=_HINT))


def _texts(column: pa.Array) -> pa.Array:
    """The days as texts with the year first, or the texts as they are written."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        column = pc.local_timestamp(column)
    if pa.types.is_timestamp(column.type):
        column = pc.cast(pc.floor_temporal(column, unit="day"), pa.date32())
    elif pa.types.is_date64(column.type):
        column = pc.cast(column, pa.date32())
    return pc.cast(column, pa.string())


def _read(text: str) -> _Part | None:
    """The numbers of a day; ``None`` if there is no such day."""
    if match := _YEAR_FIRST.fullmatch(text):
        year, one, two = int(match[1]), int(match[3]), int(match[4])
        return (year, one, two, False) if _exists(year, one, two) else None
    if match := _YEAR_LAST.fullmatch(text):
        year, one, two = int(match[4]), int(match[1]), int(match[3])
        return (year, one, two, True) if _exists(year, one, two) or _exists(year, two, one) else None
    return None


def _exists(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return year in _YEARS
