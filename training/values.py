"""Reads the values of a column (categories, numbers or labels) and marks those that are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from app.schemas import CODES, LABEL_COLUMN, Feature
from training import notes
from training.hints import LABELS, NUMBER, label_causes
from training.readers import is_text
from training.violations import Findings, RowNumbers

LABEL_EXPECTED: Final = "0 or 1, false or true, No or Yes"
YES_NO: Final = ("No", "Yes")
"""Categories of a feature that may be written as booleans."""
BOOLEANS: Final = ("false", "true")
"""The booleans in lower case, in the same order."""

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]


def is_yes_no(name: str) -> bool:
    return tuple(CODES.get(name, ())) == YES_NO


def _dictionary(column: pa.Array) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """The distinct texts of a column, and the position of each row's text; a blank has the position after the last."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    texts = pc.cast(encoded.dictionary, pa.string())
    return texts, np.asarray(pc.fill_null(pc.cast(encoded.indices, pa.int64()), len(texts)))


def _positions(texts: pa.Array, accepted: Sequence[str]) -> npt.NDArray[np.int8]:
    """Index of each text in ``accepted``; -1 for any other."""
    positions = pc.index_in(texts, value_set=pa.array(accepted, pa.string()))
    return np.asarray(pc.fill_null(positions, -1)).astype(np.int8)


def category(feature: Feature, column: pa.Array, findings: Findings) -> npt.NDArray[np.int8]:
    """Index of each value among the feature's categories; -1 for any other value and for a blank."""
    if pa.types.is_boolean(column.type):
        findings.changes.add(notes.BOOLEANS, feature.name)
        return np.asarray(pc.fill_null(pc.cast(column, pa.int8()), -1))
    texts, at = _dictionary(column)
    codes = _positions(texts, feature.categories)
    if (codes < 0).any():
        trimmed = pc.utf8_trim_whitespace(texts)
        codes = _also(codes, _positions(trimmed, feature.categories), notes.TRIMMED, feature.name, findings)
        if is_yes_no(feature.name):
            spelt = _positions(pc.utf8_lower(trimmed), BOOLEANS)
            codes = _also(codes, spelt, notes.BOOLEANS, feature.name, findings)
    # A null points past the dictionary, to the -1 appended here.
    return np.take(np.append(codes, np.int8(-1)), at)


def _also(
    codes: npt.NDArray[np.int8], more: npt.NDArray[np.int8], kind: str, column: str, findings: Findings
) -> npt.NDArray[np.int8]:
    """``codes``, completed by ``more``; adds a note if ``more`` was needed."""
    added = (codes < 0) & (more >= 0)
    if added.any():
        findings.changes.add(kind, column)
    return np.where(added, more, codes)


def _parsed(text: pa.Array) -> tuple[pa.Array, Mask]:
    """Parse trimmed texts as numbers: the numbers, null for other texts, and a mask of those other texts."""
    try:
        return pc.cast(text, pa.float64()), np.zeros(len(text), dtype=np.bool_)
    except pa.ArrowInvalid:
        spelled = pc.match_substring_regex(text, NUMBER)
        wrong = ~np.asarray(pc.fill_null(spelled, True))  # noqa: FBT003 - a blank is judged by the caller
        return pc.cast(pc.if_else(spelled, text, None), pa.float64()), wrong


def number(feature: Feature, column: pa.Array, findings: Findings) -> tuple[Numbers, Mask, Mask]:
    """The values, a mask of the blank ones, and a mask of the wrong ones."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    wrong = np.zeros(len(column), dtype=np.bool_)
    # Decimals are also read from their digits: Arrow's own conversion is off by the last bit.
    if is_text(column.type) or pa.types.is_decimal(column.type):
        text = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
        column = pc.if_else(pc.equal(text, ""), None, text)
        numbers, wrong = _parsed(column)
    else:
        numbers = pc.cast(column, pa.float64(), safe=False)
    blank = np.asarray(column.is_null())
    values = np.asarray(pc.fill_null(numbers, 0.0))
    if feature.nullable and pa.types.is_floating(column.type) and (nan := np.isnan(values)).any():
        findings.changes.add(notes.NAN, feature.name, int(nan.sum()))
        blank, values = blank | nan, np.where(nan, 0.0, values)
    minimum, maximum = feature.minimum, feature.maximum
    # Written so that NaN is outside.
    inside = (values >= minimum) & (values <= maximum)
    if feature.integer:
        inside &= values == np.floor(values)
    return values, blank, wrong | np.where(blank, not feature.nullable, ~inside)


def labels(column: pa.Array | None, rows: RowNumbers, findings: Findings) -> npt.NDArray[np.int8] | None:
    if column is None:
        return None
    texts, at = _dictionary(column)
    trimmed = pc.utf8_trim_whitespace(texts)
    codes = _positions(pc.utf8_lower(trimmed), LABELS)
    churned = np.where(codes < 0, codes, codes >= len(LABELS) // 2).astype(np.int8)
    if (churned < 0).any():
        numbers = np.asarray(pc.fill_null(_parsed(trimmed)[0], -1.0))
        churned = np.where(churned >= 0, churned, np.select([numbers == 0, numbers == 1], [0, 1], -1)).astype(np.int8)
    if pc.any(pc.and_(pc.not_equal(trimmed, texts), pa.array(churned >= 0))).as_py():
        findings.changes.add(notes.TRIMMED, LABEL_COLUMN)
    labels = np.take(np.append(churned, np.int8(-1)), at)
    wrong = labels < 0
    if wrong.any():
        findings.add_cells(LABEL_COLUMN, LABEL_EXPECTED, rows[wrong], column.filter(pa.array(wrong)), label_causes)
    return labels
