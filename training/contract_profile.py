"""Looks at each column of a file without knowing its contract: what its values are, and how they are written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from app.contract import Contract, Reading
from training import hints
from training.identities import MISSING
from training.names import Names
from training.readers import is_text, open_table
from training.reading_marks import MARKS, Mark, by_option
from training.sources import fetched
from training.violations import DataError, Findings

MAX_ROWS: Final = 500_000
"""Rows that are looked at: a contract needs no more, and memory stays bounded."""
_BATCH: Final = 65_536
_NUMBER: Final = re.compile(hints.NUMBER)
_COMMA: Final = re.compile(r"[+-]?\d+(,\d+)?")
_EITHER: Final = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
_WHOLE: Final = re.compile(r"[+-]?\d+")
_GROUPED: Final[Mapping[Mark, re.Pattern[str]]] = {
    mark: re.compile(rf"[+-]?(\d+|[1-9]\d{{0,2}}({re.escape(other)}\d{{3}})+)({re.escape(mark)}\d*)?")
    for mark, other in (MARKS, MARKS[::-1])
}
"""A number with this decimal mark, and with or without the other one between thousands."""
_CODE: Final = re.compile(r"0\d+")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")
_NOBODY: Final = Contract.model_validate_json(
    b'{"contract":1,"name":"unknown","key":{"name":"no_key_here"},"label":{"name":"no_label_here"},'
    b'"features":[{"name":"no_feature_here","type":"boolean"}],"example":{"no_feature_here":true}}'
)
"""Stands for the contract that is not known yet: no column of a file is one of its own."""

Kind: TypeAlias = Literal["empty", "boolean", "integer", "number", "date", "text", "ambiguous"]
_KINDS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    ("boolean", re.compile(r"true|false", re.IGNORECASE)),
    ("date", _DATE),
)


@dataclass(frozen=True)
class Column:
    """One column: its name in the file, and its values as trimmed texts, None for a blank.

    ``decimal`` is the mark that is known to be the decimal one, of a text file by an option, of numbers a point.
    """

    name: str
    texts: pd.Series[str]
    decimal: Mark | None = None

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """How often each text occurs, blanks left out, the most frequent first."""
        return {str(text): int(count) for text, count in self.texts.value_counts().items()}

    @property
    def blanks(self) -> int:
        return int(self.texts.isna().sum())

    @property
    def filled(self) -> int:
        return len(self.texts) - self.blanks

    @property
    def unique(self) -> bool:
        """Whether every row has a value of its own."""
        return bool(self.filled) and not self.blanks and len(self.counts) == self.filled

    @cached_property
    def kind(self) -> Kind:
        """What all values are; a code with leading zeros is a text.

        Numbers are ambiguous if each mark in them stands before exactly three digits, as in 1,234 and 777.
        """
        texts = list(self.counts)
        if not texts:
            return "empty"
        for kind, pattern in _KINDS:
            if all(map(pattern.fullmatch, texts)):
                return kind
        marked = [text for text in texts if not _WHOLE.fullmatch(text)]
        if self.decimal is None and marked and all(map(_EITHER.fullmatch, marked)):
            return "ambiguous"
        numeric = self.decimal_comma or all(_NUMBER.fullmatch(self._plain(text)) for text in texts)
        if not numeric or any(map(_CODE.fullmatch, texts)) or not np.isfinite(self.numbers).all():
            return "text"
        return "integer" if bool((self.numbers == np.floor(self.numbers)).all()) else "number"

    @cached_property
    def decimal_comma(self) -> bool:
        """Whether the numbers have decimal commas."""
        if self.decimal is not None:
            plain = all(_NUMBER.fullmatch(self._plain(text)) for text in self.counts)
            return self.decimal == "," and plain and any("," in text for text in self.counts)
        return all(map(_COMMA.fullmatch, self.counts)) and any("," in text for text in self.counts)

    @cached_property
    def numbers(self) -> npt.NDArray[np.float64]:
        """The values of a column of numbers, blanks left out."""
        texts = self.texts.dropna()
        if self.decimal is not None:
            texts = texts.map(self._plain)
        elif self.decimal_comma:
            texts = texts.str.replace(",", ".", regex=False)
        return np.asarray(texts.astype(np.float64), dtype=np.float64)

    def _plain(self, text: str) -> str:
        """A number with a decimal point and without marks of thousands, if the decimal mark is known."""
        if self.decimal is None:
            return text
        other = MARKS[self.decimal == MARKS[0]]
        return text.replace(other, "").replace(self.decimal, ".") if _GROUPED[self.decimal].fullmatch(text) else text


@dataclass(frozen=True)
class Profile:
    """The columns of a file, and what reading it showed."""

    columns: Sequence[Column]
    rows: int
    cut: bool
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)


def profile(source: str, reading: Reading | None = None) -> Profile:
    """Read a file whose contract is not known.

    Args:
        source: CSV, Excel or Parquet, a path, folder or pattern, or ``s3://bucket/key``.
        reading: how it is written, as far as that is known.

    Raises:
        DataError: it cannot be read, or has rows of the wrong width.
    """
    names, parts, rows, findings = _read(source, reading)
    findings.raise_if_any(source)
    decimal = None if reading is None else by_option(reading)
    values = {name: [part[name] for part in parts] for name in names}
    columns = [Column(name, _texts(each), decimal if _are_texts(each) else ".") for name, each in values.items()]
    return Profile(columns, min(rows, MAX_ROWS), rows > MAX_ROWS, findings.notes)


def _read(source: str, reading: Reading | None) -> tuple[list[str], list[Mapping[str, pa.Array]], int, Findings]:
    """The names of the columns, and their values in parts: the one place that knows how files are read."""
    findings, parts, rows = Findings(_NOBODY), [], 0
    try:
        with fetched(source) as path, open_table(path, findings, Names(_NOBODY), reading) as table:
            names = list(dict.fromkeys(field.name for field in table.fields))
            for _, columns in table.batches({name: name for name in names}, _BATCH):
                parts.append(columns)
                rows += len(next(iter(columns.values()), ()))
                if rows > MAX_ROWS:
                    break
    except DataError as error:
        raise DataError(source, error.violations) from error
    return names, parts, rows, findings


def _are_texts(parts: Sequence[pa.Array]) -> bool:
    """Whether the values come as texts, whose marks may mean one thing or another, and not as numbers."""
    kinds = {part.type.value_type if pa.types.is_dictionary(part.type) else part.type for part in parts}
    return all(map(is_text, kinds))


def _texts(parts: Sequence[pa.Array]) -> pd.Series[str]:
    """The values as trimmed texts without what stands for a blank."""
    if not parts:
        return pd.Series([], dtype="str")
    texts = pd.concat([_as_text(part) for part in parts], ignore_index=True)[:MAX_ROWS]
    return texts.mask(texts.str.lower().isin(MISSING), None)


def _as_text(part: pa.Array) -> pd.Series[str]:
    return pd.Series(pc.utf8_trim_whitespace(pc.cast(part, pa.string(), safe=False)).to_pandas(), dtype="str")
