"""Sentences about a usable file: what is read differently from how it is written, and what looks odd."""

from __future__ import annotations

from typing import Final

INDEX: Final = "index"
IGNORED: Final = "ignored"
RENAMED: Final = "renamed"
SPELT: Final = "spelt"
MISSING: Final = "missing"
TRIMMED: Final = "trimmed"
BOOLEANS: Final = "booleans"
NAN: Final = "nan"
IDS_MISSING: Final = "ids-missing"
CURRENCY: Final = "currency"
THOUSANDS: Final = "thousands"
DECIMAL_COMMA: Final = "decimal-comma"
DECIMAL_IDS: Final = "decimal-ids"

_SHOWN: Final = 5
"""Names that are listed of those that are spelt differently."""
_COLUMNS: Final = {
    INDEX: "A row index was ignored: the column named {columns}.",
    IGNORED: "Ignored, as the contract says: the column {columns}.",
    SPELT: "Other spellings of values in {columns} were read as the contract says.",
    MISSING: "Words such as NULL or NA in {columns} count as blank.",
    TRIMMED: "Spaces around values of {columns} were removed.",
    BOOLEANS: "True and false in {columns} were read as Yes and No.",
    DECIMAL_COMMA: "Zeros and ones of {columns} are written with a decimal comma.",
}
"""The sentence of each kind that is about columns; the other kinds are about rows."""
_VALUES: Final = {
    CURRENCY: "Currency signs were removed: {values}.",
    THOUSANDS: "Thousands separators were removed: {values}.",
}
"""The sentence of each kind that counts the values of each column."""


class Notes:
    """Collects notes batch by batch: the columns and the number of rows of each kind, in order of appearance."""

    def __init__(self) -> None:
        self._columns: dict[str, dict[str, int]] = {}
        self._said: list[str] = []

    def add(self, kind: str, column: str, rows: int = 0) -> None:
        """Note a column of this kind, in ``rows`` more rows."""
        columns = self._columns.setdefault(kind, {})
        columns[column] = columns.get(column, 0) + rows

    def add_sentence(self, sentence: str) -> None:
        """Add a note in its own words."""
        self._said.append(sentence)

    def sentences(self) -> tuple[str, ...]:
        return (*(_sentence(kind, columns) for kind, columns in self._columns.items()), *self._said)


def counted(number: int, one: str, many: str) -> str:
    """Format a count with its noun: ``1 row``, ``2,000 rows``."""
    return f"{number:,} {one if number == 1 else many}"


def _sentence(kind: str, columns: dict[str, int]) -> str:
    if words := _COLUMNS.get(kind):
        return words.format(columns=", ".join(columns))
    if words := _VALUES.get(kind):
        values = (f"{counted(rows, 'value', 'values')} of {name}" for name, rows in columns.items())
        return words.format(values=", ".join(values))
    if kind == RENAMED:
        names, more = list(columns)[:_SHOWN], len(columns) - _SHOWN
        rest = f" and {more} more" if more > 0 else ""
        return f"Names that differ only in case, spaces or punctuation were understood: {', '.join(names)}{rest}."
    name, rows = next(iter(columns.items()))
    if kind == NAN:
        return f"NaN in {name} counts as blank ({counted(rows, 'row', 'rows')})."
    if kind == DECIMAL_IDS:
        have = counted(rows, "row has", "rows have")
        return f"{have} a {name} that ends in .0, as when whole numbers were saved as decimals: its digits are the id."
    return (
        f"{counted(rows, 'row has', 'rows have')} no {name} (blank, or a word such as NULL): "
        "each counts as a customer of its own."
    )
