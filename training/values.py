"""Reads the values of a column (categories, numbers or labels) and marks those that are blank or wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from app.contract import Label
from app.feature import Feature
from training import notes
from training.hints import LABELS, NUMBER, label_causes
from training.identities import MISSING
from training.readers import is_text
from training.violations import Findings, RowNumbers

BOOLEANS: Final = ("false", "true")
"""The booleans in lower case."""
_BOOLEANS: Final = pa.array(BOOLEANS, pa.string())
FLAGS: Final[Mapping[str, float]] = {"false": 0, "no": 0, "n": 0, "true": 1, "yes": 1, "y": 1}
"""What a boolean may be written as besides 0 and 1, in lower case."""

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Read:
    """The values of one column, of shape (rows,): int8 codes of categories or float64 numbers, and which rows count.

    A wrong value is no blank, and a blank is wrong only where the feature may not be blank.
    """

    values: npt.NDArray[np.int8] | Numbers
    blank: Mask
    wrong: Mask


class Values:
    """Reads the values of one feature batch by batch."""

    def __init__(self, feature: Feature, missing: Sequence[str], findings: Findings) -> None:
        """Look up what the contract says once.

        Args:
            feature: whose values are read.
            missing: texts that stand for a blank besides :data:`training.identities.MISSING`.
            findings: receives notes about values that are read differently from how they are written.
        """
        self._feature = feature
        self._changes = findings.changes
        self._missing = pa.array(sorted({*MISSING, *(text.lower() for text in missing)}), pa.string())
        spelt = dict(FLAGS) if feature.type == "boolean" else {}
        spelt |= {text.lower(): feature.code(value) for text, value in feature.spellings.items()}
        self._spelt = pa.array(list(spelt), pa.string())
        self._spelt_numbers = np.append(np.array(list(spelt.values()), dtype=np.float64), -1.0)
        self._categories = pa.array(feature.categories, pa.string())
        self._unlike = pa.array(_unlike(feature.categories), pa.string())
        self._booleans = [spelt.get(word, -1.0) for word in BOOLEANS]
        yes_no = [feature.codes.get(word) for word in ("No", "Yes")]
        self._boolean_note = notes.BOOLEANS if self._booleans == yes_no else notes.SPELT

    def read(self, column: pa.Array) -> Read:
        """Read one batch of the column."""
        feature = self._feature
        if feature.is_category:
            return self._read_categories(column)
        if pa.types.is_dictionary(column.type) and feature.type == "boolean":
            texts, at = _dictionary(column)
            distinct = self._numbers(texts)
            return Read(
                values=np.take(np.append(distinct.values, 0.0), at),
                blank=np.take(np.append(distinct.blank, True), at),
                wrong=np.take(np.append(distinct.wrong, not feature.nullable), at),
            )
        return self._numbers(column.dictionary_decode() if pa.types.is_dictionary(column.type) else column)

    def _read_categories(self, column: pa.Array) -> Read:
        name, nullable = self._feature.name, self._feature.nullable
        if pa.types.is_boolean(column.type):
            self._changes.add(self._boolean_note, name)
            texts, at = _BOOLEANS, np.asarray(pc.fill_null(pc.cast(column, pa.int64()), 2))
            codes = np.array(self._booleans, dtype=np.int8)
        else:
            texts, at = _dictionary(column)
            codes = self._codes(texts)
        empty = self._blank_words(texts, codes < 0) if nullable else np.zeros(len(texts), dtype=np.bool_)
        # A null points past the dictionary, to what is appended here.
        values = np.take(np.append(codes, np.int8(-1)), at)
        blank = np.take(np.append(empty, nullable), at)
        return Read(values=values, blank=blank, wrong=(values < 0) & ~blank)

    def _codes(self, texts: pa.Array) -> npt.NDArray[np.int8]:
        """Index of each text among the categories; -1 for any other text."""
        codes = _positions(texts, self._categories)
        if (codes >= 0).all():
            return codes
        trimmed = pc.utf8_trim_whitespace(texts)
        codes = self._also(codes, _positions(trimmed, self._categories), notes.TRIMMED)
        lower = pc.utf8_lower(trimmed)
        is_boolean = np.asarray(pc.is_in(lower, value_set=_BOOLEANS))
        spelt = self._looked_up(lower).astype(np.int8)
        codes = self._also(codes, np.where(is_boolean, spelt, np.int8(-1)), self._boolean_note)
        codes = self._also(codes, _positions(lower, self._unlike), notes.SPELT)
        return self._also(codes, spelt, notes.SPELT)

    def _looked_up(self, texts: pa.Array) -> Numbers:
        """The number that each text spells by the contract; -1 for any other text."""
        return np.take(self._spelt_numbers, np.asarray(pc.fill_null(pc.index_in(texts, value_set=self._spelt), -1)))

    def _also(self, codes: npt.NDArray[np.int8], more: npt.NDArray[np.int8], kind: str) -> npt.NDArray[np.int8]:
        """``codes``, completed by ``more``; adds a note if ``more`` was needed."""
        added = (codes < 0) & (more >= 0)
        if added.any():
            self._changes.add(kind, self._feature.name)
        return np.where(added, more, codes)

    def _numbers(self, column: pa.Array) -> Read:
        feature, written = self._feature, column
        wrong = np.zeros(len(column), dtype=np.bool_)
        # Decimals are also read from their digits: Arrow's own conversion is off by the last bit.
        as_text = is_text(column.type) or pa.types.is_decimal(column.type)
        if as_text:
            text = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
            written = column = pc.if_else(pc.equal(text, ""), None, text)
            numbers, wrong = _parsed(column)
        else:
            numbers = pc.cast(column, pa.float64(), safe=False)
        blank = np.asarray(column.is_null())
        values = np.asarray(pc.fill_null(numbers, 0.0))
        if feature.nullable and pa.types.is_floating(column.type) and (nan := np.isnan(values)).any():
            self._changes.add(notes.NAN, feature.name, int(nan.sum()))
            blank, values = blank | nan, np.where(nan, 0.0, values)
        # Written so that NaN is outside.
        inside = (values >= feature.lowest) & (values <= feature.highest)
        if feature.integer:
            inside &= values == np.floor(values)
        wrong |= ~inside & ~blank
        if as_text and wrong.any():
            values, blank, wrong = self._explained(written, Read(values=values, blank=blank, wrong=wrong))
        return Read(values=values, blank=blank, wrong=wrong | (blank & (not feature.nullable)))

    def _explained(self, texts: pa.Array, read: Read) -> tuple[Numbers, Mask, Mask]:
        """Values, blanks and wrong ones, once the texts are looked up that are no number within the bounds."""
        feature = self._feature
        values, blank, wrong = read.values.astype(np.float64), read.blank, read.wrong
        if len(self._spelt):
            at = np.flatnonzero(wrong)
            lower = pc.utf8_lower(texts.filter(pa.array(wrong)))
            right = np.asarray(pc.is_in(lower, value_set=self._spelt))
            values[at[right]] = self._looked_up(lower)[right]
            wrong = wrong.copy()
            wrong[at[right]] = False
            if right.any() and feature.type != "boolean":
                self._changes.add(notes.SPELT, feature.name)
        if feature.nullable:
            empty = self._blank_words(texts, wrong)
            values, blank, wrong = np.where(empty, 0.0, values), blank | empty, wrong & ~empty
        return values, blank, wrong

    def _blank_words(self, texts: pa.Array, among: Mask) -> Mask:
        """Which of the texts stand for a blank, those without any letter and words such as NULL."""
        if not among.any():
            return among
        lower = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
        empty = among & np.asarray(pc.is_in(lower, value_set=self._missing))
        if (empty & np.asarray(pc.fill_null(pc.not_equal(lower, ""), False))).any():  # noqa: FBT003
            self._changes.add(notes.MISSING, self._feature.name)
        return np.asarray(empty, dtype=np.bool_)


def spelt_as_booleans(feature: Feature) -> bool:
    """Whether the spellings of a category say what true and false mean."""
    return {text.lower() for text in feature.spellings} >= set(BOOLEANS)


def _unlike(categories: Sequence[str]) -> list[str]:
    """The categories in lower case, without those that differ from another only by case, which no text may spell."""
    lower: list[str] = pc.utf8_lower(pa.array(categories, pa.string())).to_pylist()
    return [text if lower.count(text) == 1 else f"\0{position}" for position, text in enumerate(lower)]


def _dictionary(column: pa.Array) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """The distinct texts of a column, and the position of each row's text; a blank has the position after the last."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    texts = pc.cast(encoded.dictionary, pa.string())
    return texts, np.asarray(pc.fill_null(pc.cast(encoded.indices, pa.int64()), len(texts)))


def _positions(texts: pa.Array, accepted: pa.Array) -> npt.NDArray[np.int8]:
    """Index of each text in ``accepted``; -1 for any other."""
    return np.asarray(pc.fill_null(pc.index_in(texts, value_set=accepted), -1)).astype(np.int8)


def _parsed(text: pa.Array) -> tuple[pa.Array, Mask]:
    """Parse trimmed texts as numbers: the numbers, null for other texts, and a mask of those other texts."""
    try:
        return pc.cast(text, pa.float64()), np.zeros(len(text), dtype=np.bool_)
    except pa.ArrowInvalid:
        spelled = pc.match_substring_regex(text, NUMBER)
        wrong = ~np.asarray(pc.fill_null(spelled, True))  # noqa: FBT003 - a blank is judged by the caller
        return pc.cast(pc.if_else(spelled, text, None), pa.float64()), wrong


def label_expected(label: Label) -> str:
    """What a label must be, in words for an error message."""
    more = ", ".join(map(repr, (*label.stayed, *label.churned)))
    return "0 or 1, false or true, No or Yes" + (f", or one of {more}" if more else "")


def labels(label: Label, column: pa.Array | None, rows: RowNumbers, findings: Findings) -> npt.NDArray[np.int8] | None:
    """0 or 1 of each row; other values become violations."""
    if column is None:
        return None
    texts, at = _dictionary(column)
    trimmed = pc.utf8_trim_whitespace(texts)
    half = len(LABELS) // 2
    stayed = [*LABELS[:half], *(text.lower() for text in label.stayed)]
    accepted = [*stayed, *LABELS[half:], *(text.lower() for text in label.churned)]
    codes = _positions(pc.utf8_lower(trimmed), pa.array(accepted, pa.string()))
    churned = np.where(codes < 0, codes, codes >= len(stayed)).astype(np.int8)
    if (churned < 0).any():
        numbers = np.asarray(pc.fill_null(_parsed(trimmed)[0], -1.0))
        churned = np.where(churned >= 0, churned, np.select([numbers == 0, numbers == 1], [0, 1], -1)).astype(np.int8)
    if pc.any(pc.and_(pc.not_equal(trimmed, texts), pa.array(churned >= 0))).as_py():
        findings.changes.add(notes.TRIMMED, label.name)
    labels = np.take(np.append(churned, np.int8(-1)), at)
    wrong = labels < 0
    if wrong.any():
        expected = label_expected(label)
        findings.add_cells(label.name, expected, rows[wrong], column.filter(pa.array(wrong)), label_causes)
    return labels
