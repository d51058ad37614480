"""Guesses what a column of an unknown file is: the key, the label, a leak, a name in snake_case."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from app.feature import MAX_CATEGORIES, Text
from training.contract_profile import Column
from training.hints import LABELS

_MAX_NAME: Final = 63
_LABEL_NAMES: Final = (
    r"(is_|has_)?churn(ed|er)?(_?(flag|yn|ind|indicator|label|value))?",
    r"exited|attrition(_?(flag|status))?|attrited|left|cancel(l)?ed|abgewandert|gekuendigt|kuendigung",
    r"target|label|class|y",
)
_KEY_NAMES: Final = (
    r"(customer|client|account|user|member|subscriber|kunden?|konto)(_?(id|no|nr|num|number|key|nummer))",
    r"id|uuid|guid|key|e_?mail|.*_(id|uuid|key|no|nr|nummer)",
)
_LEAK_NAMES: Final = re.compile(
    r".*(churn|attrition|naive_bayes|cancel|terminat|kuendig|winback|exit_|complain).*|customer_status|(leaving|exit)_.*"
)
_CHURNED_WORDS: Final = re.compile(
    r"churn.*|attrit.*|exit.*|left|leav.*|cancel.*|lost|gone|inactive|closed|j|ja|y|si|oui|t|gek.*|abgew.*",
    re.IGNORECASE,
)
_INDEX: Final = re.compile(r"|Unnamed: \d+|__index_level_\d+__|(row|line)_?(number|num|no|id|index)|index|zeile.*")
_NO_FEATURE: Final[Mapping[str, str]] = {
    "empty": "always blank",
    "date": "a date; as_of can name it if it is the day on which a row was known",
    "ambiguous": "numbers like 1,234, which is 1234 or 1.234: --decimal says which",
}
_TEXT: Final = TypeAdapter[str](Text)
_LARGEST: Final = 2**52
_SMALLEST_IDENTIFIER: Final = 10**5
_ENOUGH: Final = 50
"""Rows from which a perfect prediction is no accident."""
_UMLAUTS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})


def snake_case(name: str, taken: Collection[str] = ()) -> str:
    """The name of a column in lower case with underscores: ``customerID`` is customer_id; unlike those taken."""
    text = unicodedata.normalize("NFKD", name.translate(_UMLAUTS)).encode("ascii", "ignore").decode()
    text = re.sub(r"([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])", r"\1\3_\2\4", text)
    text = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    text = (text if text[:1].isalpha() else f"column_{text}".strip("_"))[:_MAX_NAME]
    unlike, number = text, 2
    while unlike in taken:
        unlike = f"{text[: _MAX_NAME - 4]}_{number}"
        number += 1
    return unlike


def is_row_number(column: Column) -> bool:
    """Whether a column only counts the rows, as pandas, R and exports write it."""
    named = bool(_INDEX.fullmatch(column.name) or _INDEX.fullmatch(snake_case(column.name)))
    if column.kind != "integer" or not column.unique:
        return named and column.name in {"", "__index_level_0__"}
    steps = np.diff(column.numbers)
    counts = bool((steps == 1).all()) and column.numbers[0] in {0, 1}
    return counts and (named or (len(steps) >= _ENOUGH and not _matches(column.name, _KEY_NAMES)))


def key_of(columns: Sequence[Column]) -> Column | None:
    """The column that names the customers: unique, whole numbers or texts, and called like a key.

    One that is called like a customer's key may be blank or repeated in some rows.
    """
    possible = [c for c in columns if c.kind in {"integer", "text"} and not is_row_number(c)]
    unique = [(c, pattern) for pattern in _KEY_NAMES for c in possible if c.unique]
    likely = [(c, _KEY_NAMES[0]) for c in possible if len(c.counts) > min(MAX_CATEGORIES, c.filled / 2)]
    return next((c for c, pattern in unique + likely if re.fullmatch(pattern, snake_case(c.name))), None)


def label_of(columns: Sequence[Column]) -> Column | None:
    """The column that tells who churned: two values, and called like it."""
    two = {c.name: c for c in columns if len(c.counts) == 2 and not c.blanks}  # noqa: PLR2004 - churned and stayed
    name = label_name([*two])
    return None if name is None else two[name]


def label_name(names: Sequence[str]) -> str | None:
    """The name that is most like a label's."""
    return next((n for pattern in _LABEL_NAMES for n in names if re.fullmatch(pattern, snake_case(n))), None)


def churned_text(column: Column) -> tuple[str, bool]:
    """The text of a label that means 'churned', and whether that is sure rather than the rarer of the two."""
    for text in column.counts:
        if text.lower() in LABELS[len(LABELS) // 2 :] or (column.kind == "integer" and float(text) == 1):
            return text, True
    likely = [text for text in column.counts if _CHURNED_WORDS.fullmatch(text)]
    return (likely[0], True) if len(likely) == 1 else (list(column.counts)[-1], False)


def unusable(column: Column, churned: npt.NDArray[np.bool_] | None) -> str | None:
    """Why a column cannot be a feature; None if it can."""
    if is_row_number(column):
        return "it numbers the rows"
    if not nameable(column.name):
        return "its name is empty, too long, or has quotes or control characters: rename it"
    if column.kind in _NO_FEATURE:
        return _NO_FEATURE[column.kind]
    if (leak := _leak_reason(column, churned)) is not None:
        return f"suspected leak, {leak}; name it under leaks to refuse files that have it"
    if len(column.counts) == 1 and (not column.blanks or column.kind != "text"):
        return f"constant, always {next(iter(column.counts))}{' or blank' if column.blanks else ''}"
    return _unusable_text(column) if column.kind == "text" else _unusable_number(column)


def nameable(text: str) -> bool:
    """Whether a contract can have a text as an alias or a category."""
    try:
        _TEXT.validate_python(text)
    except ValidationError:
        return False
    return True


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(re.fullmatch(pattern, snake_case(name)) for pattern in patterns)


def _leak_reason(column: Column, churned: npt.NDArray[np.bool_] | None) -> str | None:
    """Why a column may be known only after a customer churned; None if nothing says so."""
    if _LEAK_NAMES.fullmatch(snake_case(column.name)):
        return "its name says that it is known only after a customer churned"
    if churned is None or len(churned) < _ENOUGH or churned.all() or not churned.any():
        return None
    if len(column.counts) <= len(churned) / 20:
        rates = pd.Series(churned).groupby(column.texts.fillna("").to_numpy()).mean()
        if len(rates) > 1 and rates.isin([0, 1]).all():
            return "each of its values decides the label"
    if column.kind in {"integer", "number"} and not column.blanks:
        stayed, left = column.numbers[~churned], column.numbers[churned]
        if stayed.max() < left.min() or left.max() < stayed.min():
            return "one threshold of it decides the label"
    return None


def _unusable_number(column: Column) -> str | None:
    if column.kind == "boolean":
        return None
    if column.kind == "integer" and column.unique and column.filled > MAX_CATEGORIES and _called_identifier(column):
        return "an identifier: every row has another"
    if np.abs(column.numbers).max() > _LARGEST:
        return "its numbers are too large to be exact; an identifier?"
    return None


def _called_identifier(column: Column) -> bool:
    """Whether whole numbers are called like identifiers, or are all as long as those."""
    called = snake_case(column.name).endswith(("id", "_no", "_nr", "number", "nummer", "key"))
    return called or bool(column.numbers.min() >= _SMALLEST_IDENTIFIER)


def _unusable_text(column: Column) -> str | None:
    distinct = len(column.counts)
    if column.unique or (distinct > 1 and distinct == column.filled):
        return "an identifier or free text: every row has another"
    if distinct >= MAX_CATEGORIES or distinct > max(2, column.filled / 2):
        return f"free text or too many categories: {distinct:,} different"
    if not all(map(nameable, column.counts)):
        return "its texts have quotes, backslashes or control characters, or are too long"
    return None
