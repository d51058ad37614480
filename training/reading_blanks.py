"""Words that stand for a blank, in any column that may be blank."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.contract import Contract, Reading
from app.feature import Feature
from training import notes
from training.violations import Findings

WORDS: Final = ("null", "none", "nan", "na", "n/a", "#n/a", "<na>")
"""In lower case; so is a blank itself."""


class Blanks:
    """Replaces the words by nulls, except where the contract gives a word a meaning."""

    def __init__(self, contract: Contract | None, reading: Reading, findings: Findings) -> None:
        self._findings = findings
        self._words = frozenset({*WORDS, *(text.strip().lower() for text in reading.missing)})
        self._features = contract.by_name if contract else {}
        self._own: dict[str, pa.Array] = {}

    def replace(self, name: str, column: pa.Array) -> pa.Array:
        """A column of text, plain or as a dictionary, in which words for a blank are null if it may be blank.

        Where a blank is refused, the words stay, so that the message shows them.
        """
        feature = self._features.get(name)
        if feature is None or not feature.nullable:
            return column
        if pa.types.is_dictionary(column.type):
            return self._in_dictionary(feature, column)
        found = self._found(feature, column)
        count = pc.sum(found).as_py() or 0
        if not count:
            return column
        self._note(name, count)
        return pc.if_else(found, pa.scalar(None, column.type), column)

    def _in_dictionary(self, feature: Feature, column: pa.Array) -> pa.Array:
        found = np.asarray(pc.fill_null(self._found(feature, column.dictionary), False), dtype=bool)  # noqa: FBT003 - a value of the array
        if not found.any():
            return column
        here = pc.fill_null(
            pc.is_in(column.indices, value_set=pa.array(np.flatnonzero(found), column.indices.type)), False
        )
        self._note(feature.name, pc.sum(here).as_py())
        indices = pc.if_else(here, pa.scalar(None, column.indices.type), column.indices)
        return pa.DictionaryArray.from_arrays(indices, column.dictionary)

    def _found(self, feature: Feature, texts: pa.Array) -> pa.Array:
        words = self._own.get(feature.name)
        if words is None:
            meant = {text.strip().lower() for text in (*feature.categories, *feature.spellings)}
            words = self._own[feature.name] = pa.array(sorted(self._words - meant), pa.string())
        lower = pc.utf8_lower(pc.utf8_trim_whitespace(pc.cast(texts, pa.string())))
        return pc.is_in(lower, value_set=words)

    def _note(self, name: str, rows: int) -> None:
        self._findings.changes.add(notes.WORDS, name, rows)
