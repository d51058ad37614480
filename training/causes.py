"""Causes of what is wrong in a data file, by code: the line that reports each cause, and its remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from training.violations import Violation

OTHER: Final = "other"
"""Cause of a violation whose own text says everything."""
BLANK: Final = "blank"
MISSING_WORD: Final = "missing-word"
RENAME: Final = "rename"
NEAR_NAME: Final = "near-name"
LEAK: Final = "leak"
AGAIN: Final = "given-again"
UNKNOWN_COLUMN: Final = "unknown-column"
UNNAMED_COLUMN: Final = "unnamed-column"
MISSING_COLUMN: Final = "missing-column"
WRONG_WIDTH: Final = "wrong-width"
BAD_ID: Final = "bad-id"
COLUMN_TYPE: Final = "column-type"

VALUES_SHOWN: Final = 5
"""Distinct values that are shown with their rows, for one cause in one column."""
MEANINGS_SHOWN: Final = 3
NAMES_SHOWN: Final = 30
"""Column names shown in one line; the others are only counted."""


@dataclass(frozen=True, kw_only=True)
class ValueCause:
    """A cause of wrong values: its text for one value, for several, and the remedy. One line covers all columns."""

    one: str
    many: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class ColumnCause:
    """A cause that concerns whole columns: ``{names}`` lists them, ``{columns}`` counts them."""

    line: str
    remedy: str


VALUES: Final = {
    "decimal-comma": ValueCause(
        one="looks like a decimal comma", many="look like decimal commas", remedy="write {them} with a decimal point"
    ),
    "thousands": ValueCause(
        one="has a thousands separator",
        many="have thousands separators",
        remedy="write the digits without separators, and a point before the decimals",
    ),
    "currency": ValueCause(
        one="has a currency sign", many="have currency signs", remedy="write the number alone, with a decimal point"
    ),
    "percent": ValueCause(
        one="has a percent sign",
        many="have percent signs",
        remedy="write the number alone, as a share (0.12) or in percent (12), whichever the bounds mean",
    ),
    "unit": ValueCause(
        one="has a unit after the number", many="have a unit after the number", remedy="write the number alone"
    ),
    MISSING_WORD: ValueCause(
        one="stands for a missing value",
        many="stand for missing values",
        remedy="fill in what is missing",
    ),
    "spelling": ValueCause(
        one="differs from the accepted one only by case or punctuation",
        many="differ from the accepted ones only by case or punctuation",
        remedy="write {them} exactly as documented",
    ),
    "near-category": ValueCause(
        one="is close to an accepted one",
        many="are close to accepted ones",
        remedy="did you mean this? Write {them} exactly as documented",
    ),
    "yes-no": ValueCause(
        one="says Yes or No in another way", many="say Yes or No in another way", remedy="write Yes or No"
    ),
    "three-answers": ValueCause(
        one="is true or false, but there are three answers",
        many="are true or false, but there are three answers",
        remedy="write Yes, No, or that there is no such service, as documented",
    ),
    "flag": ValueCause(one="is a word", many="are words", remedy="write 1 for yes and 0 for no"),
    "label-spelling": ValueCause(
        one="spells the label in another way",
        many="spell the label in another way",
        remedy="write 1 or Yes for a customer who churned, and 0 or No for one who stayed",
    ),
}

WITH_COMMA: Final = ("decimal-comma", "thousands", "currency")
"""Causes of numbers with a comma, which splits a number in two unless quotes surround it."""

COLUMNS: Final = {
    RENAME: ColumnCause(
        line="{columns} match the documented names (ours or IBM's) if you rename: {names}; change the header",
        remedy="rename the column to {meant}",
    ),
    NEAR_NAME: ColumnCause(line="{columns} are unknown; did you mean: {names}?", remedy="did you mean {meant}?"),
    LEAK: ColumnCause(
        line="{columns} tell who churned, which a model must not know: {names}; remove them",
        remedy="remove the column",
    ),
    AGAIN: ColumnCause(
        line="{columns} repeat what another column gives: {names}; remove them", remedy="remove the column"
    ),
    UNKNOWN_COLUMN: ColumnCause(
        line="{columns} are unknown, only the documented ones are accepted: {names}; remove or rename them",
        remedy="remove or rename the column",
    ),
    UNNAMED_COLUMN: ColumnCause(
        line="{columns} have no name: {names}; remove them, or the commas at the end of each line",
        remedy="remove the column, or the comma at the end of each line",
    ),
    MISSING_COLUMN: ColumnCause(line="{columns} are missing: {names}; add them", remedy="add the column"),
}

GENERIC: Final = {
    BLANK: "values are blank",
    "not-a-number": "values are not numbers",
    "out-of-range": "values are out of range",
    "not-whole": "values are not whole numbers",
    "unknown-category": "values are not accepted categories",
    "unknown-label": "values are not labels",
    BAD_ID: "values cannot be an id",
    WRONG_WIDTH: "rows have a different number of fields than the header",
}
"""Causes that say no more than what is wrong: each line is about one column and what it expects."""
_REMEDIES: Final = {
    BLANK: "fill in what is missing",
    WRONG_WIDTH: "put values with a comma in quotes, and remove commas at the end of lines",
}


def grouped(violations: Iterable[Violation]) -> list[list[Violation]]:
    """Group the violations by cause, in order of appearance; those of a generic cause by column as well."""
    groups: dict[tuple[str, str], list[Violation]] = {}
    for number, violation in enumerate(violations):
        cause = violation.cause
        known = cause in VALUES or cause in COLUMNS
        apart = "" if known else violation.column if cause in GENERIC else str(number)
        groups.setdefault((cause, apart), []).append(violation)
    return list(groups.values())


def line(group: Sequence[Violation]) -> str:
    """Describe the violations of one cause in one line: how many, where, an example and the remedy."""
    first, cause = group[0], group[0].cause
    if known := VALUES.get(cause):
        count = sum(violation.count for violation in group)
        columns = _enumerated(list(dict.fromkeys(violation.column for violation in group)))
        more = f"; {first.hint}" if first.hint else ""
        values, does = ("value", known.one) if count == 1 else ("values", known.many)
        return f"{count:,} {values} of {columns} {does} ({_examples(group)}): {_remedy(known, count)}{more}"
    if len(group) == 1:
        return str(first)
    if about := COLUMNS.get(cause):
        names = [f"{v.column} -> {v.meant}" if v.meant and cause != AGAIN else v.column for v in group]
        return about.line.format(columns=f"{len(group):,} columns", names=_enumerated(names))
    count = sum(violation.count for violation in group)
    remedy = f"; {text}" if (text := hint(first)) else ""
    return f"{first.column}: {count:,} {GENERIC[cause]} ({_examples(group)}); expected {first.expected}{remedy}"


def details(group: Sequence[Violation]) -> Iterator[str]:
    """List what the line about them leaves out: which rows have which value, and what a missing column must hold."""
    cause = group[0].cause
    if (cause in COLUMNS and cause != MISSING_COLUMN) or (len(group) == 1 and cause not in VALUES):
        return
    columns: dict[str, list[Violation]] = {}
    for violation in group:
        columns.setdefault(violation.column, []).append(violation)
    for column, same_column in columns.items():
        yield from map(str, same_column[:VALUES_SHOWN])
        if rest := same_column[VALUES_SHOWN:]:
            yield f"{column}: and {sum(violation.count for violation in rest):,} more rows with other values"


def hint(violation: Violation) -> str:
    """How to correct this violation; an empty text if the expected value says it all."""
    cause = violation.cause
    if known := VALUES.get(cause):
        remedy = _remedy(known, violation.count)
    elif about := COLUMNS.get(cause):
        remedy = about.remedy.format(meant=violation.meant)
    else:
        remedy = _REMEDIES.get(cause, "")
    return "; ".join(filter(None, (remedy, violation.hint)))


def groups_as_dicts(violations: Iterable[Violation], *, rows_shown: int) -> Iterator[dict[str, object]]:
    """Each cause in each column, for programs; values look as in the message."""
    groups: dict[tuple[str, str], list[Violation]] = {}
    for violation in violations:
        groups.setdefault((violation.cause, violation.column), []).append(violation)
    for (cause, column), group in groups.items():
        yield {
            "cause": cause,
            "column": column,
            "count": sum(violation.count for violation in group),
            "rows": sorted(row for violation in group for row in violation.rows)[:rows_shown],
            "lines": sorted(number for violation in group for number in violation.lines)[:rows_shown],
            "example": group[0].value,
            "meant": group[0].meant or None,
            "expected": group[0].expected,
            "hint": hint(group[0]) or None,
        }


def _examples(group: Sequence[Violation]) -> str:
    """The first value of the group, or the first values whose meaning is known, each with its meaning."""
    first = [_example(v.value, v.meant) for v in group if v.meant or v is group[0]]
    return ", ".join(list(dict.fromkeys(first))[: MEANINGS_SHOWN if group[0].meant else 1])


def _example(value: str, meant: str) -> str:
    # Keep the quotes only where spaces at the ends would be lost without them.
    bare = value[1:-1]
    plain = bare if value[:1] == value[-1:] == "'" and bare == bare.strip() else value
    return f"{meant} for {plain}" if meant else plain


def _remedy(cause: ValueCause, count: int) -> str:
    return cause.remedy.format(them="it" if count == 1 else "them")


def _enumerated(names: Sequence[str]) -> str:
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
