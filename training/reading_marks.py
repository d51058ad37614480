"""What the marks in the numbers of a column mean: ``1.234`` is a decimal or a thousand, and so is ``1,234``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.contract import Reading
from app.feature import Feature

Mark = Literal[".", ","]
MARKS: Final[tuple[Mark, Mark]] = (".", ",")
_SPACE: Final = r"['\x{2019} \x{00a0}\x{202f}\x{2009}]"
"""Marks between groups of digits that cannot be a decimal mark."""
_CODES: Final = r"usd|eur|gbp|chf|jpy|inr|brl|cad|aud|pln|sek|nok|dkk|czk|huf|zł|kč|ft|fr\.?|kr\.?"
_SIGN: Final = rf"(?:[$€£¥₹₽₺₩₪฿]|[A-Za-z]{{1,2}}\$|(?i:{_CODES}))"
_GAP: Final = r"[\s\x{00a0}\x{202f}\x{2009}]*"
_DRESSED: Final = (
    rf"^{_GAP}(?:{_SIGN}{_GAP})?(?P<number>[+-]?{_GAP}(?:{_SIGN}{_GAP})?[0-9.,](?:[0-9.,]|{_SPACE}[0-9])*"
    rf"(?:[eE][+-]?[0-9]+)?){_GAP}(?:{_SIGN}{_GAP})?$"
)
"""A number with marks, groups of digits and the sign of a currency."""
_GROUPED: Final = rf"^[+-]?[0-9]{{1,3}}(?:{_SPACE}[0-9]{{3}})+(?:[.,][0-9]*)?$"
_AMBIGUOUS: Final = r"^[+-]?[1-9][0-9]{{0,2}}\{mark}[0-9]{{3}}$"
"""One mark before exactly three digits, where a group of thousands could end."""
_DECIMAL: Final = (
    r"^[+-]?(?:[0-9]*\{mark}[0-9]*(?:[eE][+-]?[0-9]+)?|[1-9][0-9]{{0,2}}(?:\{other}[0-9]{{3}})+\{mark}[0-9]*|"
    r"[1-9][0-9]{{0,2}}(?:\{other}[0-9]{{3}}){{2,}})$"
)
"""A number in which ``mark`` can only be the decimal mark, unless it is ambiguous."""
_VALID: Final = r"^[+-]?(?:[0-9]+|[1-9][0-9]{{0,2}}(?:\{other}[0-9]{{3}})+)?(?:\{mark}[0-9]*)?(?:[eE][+-]?[0-9]+)?$"
_DIGIT: Final = r"[0-9]"


@dataclass
class Ambiguous:
    """The values of a column with one mark before three digits: an example, and what they are as decimals."""

    example: str = ""
    row: int = 0
    whole: bool = True
    low: float = np.inf
    high: float = -np.inf


@dataclass
class Evidence:
    """What the values of a column show so far; ``clear`` has an example and its row for each proven decimal mark."""

    clear: dict[Mark, tuple[str, int]] = field(default_factory=dict)
    ambiguous: dict[Mark, Ambiguous] = field(default_factory=dict)

    def add(self, numbers: pa.Array, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        """Look at more numbers without currencies and spaces; null for what is none.

        Args:
            numbers: Arrow strings.
            rows: the data row of each.
        """
        for mark, other in (MARKS, MARKS[::-1]):
            unsure = matches(numbers, _AMBIGUOUS.format(mark=mark))
            self._add_ambiguous(mark, numbers, rows, unsure)
            if mark not in self.clear:
                proof = matches(numbers, _DECIMAL.format(mark=mark, other=other)) & ~unsure & matches(numbers, _DIGIT)
                if proof.any():
                    at = int(proof.argmax())
                    self.clear[mark] = (numbers[at].as_py(), int(rows[at]))

    def _add_ambiguous(
        self, mark: Mark, numbers: pa.Array, rows: np.ndarray[tuple[int], np.dtype[np.int64]], unsure: np.ndarray
    ) -> None:
        if not unsure.any():
            return
        chosen = numbers.filter(pa.array(unsure))
        values = np.asarray(pc.cast(pc.replace_substring(chosen, mark, "."), pa.float64()))
        seen = self.ambiguous.setdefault(mark, Ambiguous())
        if not seen.row:
            seen.example, seen.row = chosen[0].as_py(), int(rows[unsure.argmax()])
        seen.whole = seen.whole and bool((values == np.floor(values)).all())
        seen.low, seen.high = min(seen.low, values.min()), max(seen.high, values.max())


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why the marks of a column cannot be read: the two readings, and what decides."""

    value: str
    hint: str


DECIDE: Final = "say which with --decimal , or --decimal . (reading.decimal in the contract)"


def decimal_mark(feature: Feature, evidence: Evidence, reading: Reading) -> Mark | Refusal | None:
    """The decimal mark of a column; ``None`` if it has no mark that could be one.

    The options decide; then a value that can be read only one way; then the bounds of the feature.
    """
    if (option := by_option(reading)) is not None:
        return option
    if evidence.clear:
        return _clear(evidence.clear)
    unsure = list(evidence.ambiguous)
    if len(unsure) > 1:
        return _contradiction(*((evidence.ambiguous[mark].example, evidence.ambiguous[mark].row) for mark in MARKS))
    if not unsure:
        return None
    mark = unsure[0]
    return mark if reading.thousands is not None else _by_bounds(feature, mark, evidence.ambiguous[mark])


def by_option(reading: Reading) -> Mark | None:
    """The decimal mark that the options name, or leave when the other mark separates thousands."""
    if reading.decimal is None and reading.thousands in MARKS:
        return "," if reading.thousands == "." else "."
    return reading.decimal


def _clear(clear: Mapping[Mark, tuple[str, int]]) -> Mark | Refusal:
    """The proven mark; the point if commas come after it, which are then reported one by one."""
    if len(clear) == 1:
        return next(iter(clear))
    point, comma = (clear[mark] for mark in MARKS)
    return "." if point[1] < comma[1] else _contradiction(point, comma)


def _by_bounds(feature: Feature, mark: Mark, seen: Ambiguous) -> Mark | Refusal:
    """The decimal mark, if only one reading lets every ambiguous value be a value of the feature."""
    other = "," if mark == "." else "."
    as_decimal = _inside(feature, seen.low, seen.high) and (seen.whole or not feature.integer)
    as_thousands = _inside(feature, 1000 * seen.low, 1000 * seen.high)
    if as_decimal != as_thousands:
        return mark if as_decimal else other  # type: ignore[return-value]
    number = seen.example.replace(mark, ".")
    return Refusal(
        value=f"{seen.example!r} in row {seen.row:,} is {number} or {number.replace('.', '')}: "
        "every mark in the column stands before exactly three digits",
        hint=DECIDE,
    )


def _inside(feature: Feature, low: float, high: float) -> bool:
    return feature.lowest <= low and high <= feature.highest


def _contradiction(point: tuple[str, int], comma: tuple[str, int]) -> Refusal:
    return Refusal(
        value=f"{point[0]!r} in row {point[1]:,} has a decimal point, and {comma[0]!r} in row {comma[1]:,} "
        "a decimal comma",
        hint=f"write all numbers of a column alike, or {DECIDE}",
    )


def undressed(texts: pa.Array, reading: Reading) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """Numbers without currencies and without blanks or apostrophes between groups; null for what is no number.

    Returns:
        The numbers, a mask of those that had a currency, and one of those that had groups.
    """
    parts = pc.extract_regex(texts, _DRESSED)
    cores = pc.struct_field(parts, "number")
    signed = matches(cores, _SIGN)
    if signed.any():
        cores = pc.replace_substring_regex(cores, _SIGN, "")
    cores = pc.replace_substring_regex(cores, rf"^([+-]){_GAP}", r"\1")
    currency = matches(texts, _SIGN) & np.asarray(pc.is_valid(cores))
    spaced = matches(cores, _SPACE)
    if spaced.any():
        grouped = matches(cores, _GROUPED) & (reading.thousands in {None, " ", "'"})
        without = pc.replace_substring_regex(cores, _SPACE, "")
        cores = pc.if_else(pa.array(~spaced), cores, pc.if_else(pa.array(grouped), without, None))
        spaced &= grouped
    return cores, currency, spaced


def plain(numbers: pa.Array, decimal: Mark, reading: Reading) -> tuple[pa.Array, np.ndarray]:
    """Numbers with a decimal point and without other marks; null for what breaks the rule of the column.

    Returns:
        The numbers, and a mask of those that had thousands marks.
    """
    other = "," if decimal == "." else "."
    valid = matches(numbers, _VALID.format(mark=decimal, other=other)) & matches(numbers, _DIGIT)
    grouped = np.asarray(pc.fill_null(pc.match_substring(numbers, other), False), dtype=bool)  # noqa: FBT003 - a value of the array
    valid &= ~grouped | (reading.thousands in {None, other})
    rewritten = pc.replace_substring(pc.replace_substring(numbers, other, ""), decimal, ".")
    return pc.if_else(pa.array(valid), rewritten, None), grouped & valid


def matches(texts: pa.Array, pattern: str) -> np.ndarray:
    matching = pc.fill_null(pc.match_substring_regex(texts, pattern), False)  # noqa: FBT003 - a value of the array
    return np.asarray(matching, dtype=bool)
