"""Recognises why a value is wrong by its spelling. Runs only on distinct wrong values, never on a valid file."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from app.contract import Contract
from app.feature import Feature
from training import causes

LABELS: Final = ("0", "false", "no", "1", "true", "yes")
"""Accepted spellings of the label in lower case, besides numbers equal to 0 or 1; the second half means churned."""
NUMBER: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
"""A number as a text file may spell it, without the spaces around it."""
JUDGED: Final = 200
"""Largest number of distinct wrong categories in a batch that are explained."""
SIMILAR: Final = 0.75
"""Lowest ratio of :mod:`difflib` at which a value counts as a misspelt category."""

_BETWEEN: Final = r"[,.'\x{2019}_ \x{00a0}\x{202f}]"
"""Separators of thousands: among others straight and typographic apostrophes, plain and non-breaking spaces."""
_DIGITS: Final = rf"\d(?:\d|{_BETWEEN})*"
_GROUPED: Final = (
    r"(?:,\d{2,3})*,\d{3}(?:\.\d*)?",
    r"(?:\.\d{2,3})*\.\d{3}(?:,\d*)?",
    r"(?:['\x{2019} \x{00a0}\x{202f}]\d{2,3})*['\x{2019} \x{00a0}\x{202f}]\d{3}(?:[.,]\d*)?",
)
"""The part after the first digits of a number with thousands separators, all of the same kind."""
_SIGN: Final = r"(?:[$€£¥₹₽₺₩₪฿]|[A-Za-z]{1,2}\$|R\$|(?i:usd|eur|gbp|chf|jpy|inr|brl|cad|aud|pln|sek|nok|dkk|zł|kr\.?))"
_ANYWHERE: Final = (
    (causes.BLANK, r"^\s*$"),
    (
        causes.MISSING_WORD,
        r"(?i)^\s*(?:null|none|nan|n/?a|<na>|#n/a|nil|\\n|-+|\x{2013}|\x{2014}|\?+|\.|unknown|missing)\s*$",
    ),
)
"""Causes that the text shows in any column."""
_WRITTEN: Final = (
    *_ANYWHERE,
    ("currency", rf"^\s*[+-]?\s*(?:{_SIGN}\s*[+-]?{_DIGITS}|{_DIGITS}\s*{_SIGN})\s*$"),
    # Three digits after a single comma count as thousands, unless a zero or too many digits stand before it.
    ("decimal-comma", r"^\s*[+-]?(?:\d*,(?:\d{1,2}|\d{4,})|0+,\d+|\d{4,},\d+)(?:[eE][+-]?\d+)?\s*$"),
    ("thousands", rf"^\s*[+-]?\d{{1,3}}(?:{'|'.join(_GROUPED)})\s*$"),
    ("percent", rf"^\s*[+-]?{_DIGITS}\s*%\s*$"),
    ("unit", rf"^\s*[+-]?{_DIGITS}\s*[A-Za-zµ°]{{1,12}}\.?(?:/[A-Za-z]{{1,12}})?\s*$"),
)
"""Causes that the text of a number shows; the first match counts."""
_AMBIGUOUS: Final = r"^\s*[+-]?\d{1,3},\d{3}\s*$"
"""Numbers whose comma may separate thousands or three decimals."""
_HEX: Final = r"(?i)^\s*0[xob]"
"""Numbers as in programming languages, which must not be taken for numbers with a unit."""
_SHORT: Final = {"y": "Yes", "n": "No"}
_BOOLEAN: Final = {
    "true": "Yes", "false": "No", "t": "Yes", "f": "No", "1": "Yes", "0": "No", "1.0": "Yes", "0.0": "No",
}  # fmt: skip
_ANSWER: Final = _SHORT | _BOOLEAN
_FLAG: Final = frozenset({"yes", "no", "y", "n", "t", "f", "true", "false"})
"""Words for the numbers 1 and 0."""
_LABELS: Final = frozenset(
    {"y", "n", "t", "f", "churned", "stayed", "churn", "stay", "active", "left", "retained", "exited", "joined",
     "-1", "2", "churner", "non-churner", "not churned", "no churn", "lost", "closed", "inactive"}
)  # fmt: skip

Codes = npt.NDArray[np.object_]


def number_causes(feature: Feature, values: pa.Array) -> Codes:
    """Find the cause of each wrong number from its text."""
    codes = np.full(len(values), "not-a-number", dtype=object)
    open_ = ~_matches(values, _HEX)
    for cause, pattern in _WRITTEN:
        here = open_ & _matches(values, pattern)
        codes[here] = cause
        open_ &= ~here
    codes[_matches(values, _AMBIGUOUS) & _decimal(feature, values, codes)] = "decimal-comma"
    trimmed = pc.utf8_trim_whitespace(values)
    spelled = _matches(trimmed, NUMBER)
    numbers = np.asarray(pc.fill_null(pc.cast(pc.if_else(pa.array(spelled), trimmed, None), pa.float64()), 0.0))
    inside = (numbers >= feature.lowest) & (numbers <= feature.highest)
    codes[spelled] = np.where(inside, "not-whole", "out-of-range")[spelled]
    if feature.integer and (feature.lowest, feature.highest) == (0, 1):
        codes[_among(values, _FLAG)] = "flag"
    return codes


def _decimal(feature: Feature, values: pa.Array, codes: Codes) -> npt.NDArray[np.bool_]:
    """Where an ambiguous comma is a decimal comma: beside clear ones, or if thousands would be out of range."""
    if (codes == "decimal-comma").any():
        return np.ones(len(values), dtype=np.bool_)
    digits = pc.replace_substring_regex(values, r"\D", "")
    whole = pc.if_else(pa.array(_matches(values, _AMBIGUOUS)), digits, None)
    return np.asarray(pc.fill_null(pc.cast(whole, pa.float64()), 0.0)) > feature.highest


def category_causes(feature: Feature, values: pa.Array) -> Codes:
    """Find the cause of each wrong category."""
    return _judged(values, lambda value: _category_cause(feature, value), "unknown-category")


def label_causes(values: pa.Array) -> Codes:
    """Find the cause of each wrong label."""
    return _judged(values, _label_cause, "unknown-label")


def meant(contract: Contract, column: str, value: str) -> str:
    """The category that ``value`` of ``column`` was probably meant to be, quoted, or an empty text."""
    feature = contract.by_name.get(column)
    if feature is None or not feature.is_category:
        return ""
    answer = _ANSWER.get(value.strip().lower())
    close = answer if answer in feature.categories else _closest(feature.categories, value)
    return repr(close) if close else ""


def fold(name: str) -> str:
    """Reduce ``name`` to its letters and digits in one case, to compare different spellings."""
    return "".join(c for c in unicodedata.normalize("NFKC", name).casefold() if c.isalnum())


def _judged(values: pa.Array, judge: Callable[[str], str | None], otherwise: str) -> Codes:
    """Ask ``judge`` for the cause of each of the first values; ``otherwise`` stands for no answer."""
    codes = np.full(len(values), otherwise, dtype=object)
    for cause, pattern in _ANYWHERE:
        codes[_matches(values, pattern)] = cause
    for position in np.flatnonzero(codes == otherwise)[:JUDGED].tolist():
        codes[position] = judge(values[position].as_py()) or otherwise
    return codes


def _label_cause(value: str) -> str | None:
    return "label-spelling" if value.strip().lower() in _LABELS else None


def _category_cause(feature: Feature, value: str) -> str | None:
    word = value.strip().lower()
    if {"Yes", "No"} <= set(feature.categories) and word in _ANSWER:
        return "three-answers" if len(feature.categories) > len(("Yes", "No")) and word in _BOOLEAN else "yes-no"
    if fold(value) in map(fold, feature.categories):
        return "spelling"
    return "near-category" if _closest(feature.categories, value) else None


def _closest(categories: Sequence[str], value: str) -> str | None:
    """The category that ``value`` spells differently, else the only one that begins with it, else a similar one."""
    folded, by_fold = fold(value), {fold(category): category for category in categories}
    if not folded or folded in by_fold:
        return by_fold.get(folded)
    beginning = [category for key, category in by_fold.items() if key.startswith(folded)]
    if len(beginning) == 1:
        return beginning[0]
    similar = difflib.get_close_matches(folded, by_fold, n=1, cutoff=SIMILAR)
    return by_fold[similar[0]] if similar else None


def _matches(values: pa.Array, pattern: str) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.match_substring_regex(values, pattern), dtype=np.bool_)


def _among(values: pa.Array, words: frozenset[str]) -> npt.NDArray[np.bool_]:
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(values))
    return np.asarray(pc.is_in(lower, value_set=pa.array(sorted(words), pa.string())), dtype=np.bool_)
