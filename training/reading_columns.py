"""What happens to every column of text before its values are judged: its numbers, and letters in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.contract import Contract, Reading
from training import notes
from training.reading_encoding import other_readings
from training.reading_marks import matches
from training.reading_numbers import Numbers, Rescan
from training.violations import Findings, RowNumbers, Violation

_FLAG: Final = r"^\s*[+-]?[01],0+\s*$"


class Columns:
    """Cleans the batches of one file."""

    def __init__(
        self,
        contract: Contract,
        reading: Reading,
        findings: Findings,
        rescan: Rescan,
        *,
        guessed: bool = False,
    ) -> None:
        """Wire the parts.

        Args:
            contract: whose columns these are.
            reading: the options.
            findings: receives notes, and what could be read two ways.
            rescan: reads columns of the file from its beginning.
            guessed: whether the file was found to be cp1252 because it is not UTF-8.
        """
        self._contract = contract
        self._findings = findings
        self._guessed = guessed
        self.numbers = Numbers(contract, reading, findings, rescan)
        self._doubted: set[str] = set()

    def clean(self, batch: Mapping[str, pa.Array], rows: RowNumbers) -> dict[str, pa.Array]:
        """The same columns with plain numbers."""
        marked = self.numbers.marked(batch, rows)
        return {
            name: self.numbers.clean(name, marked[name], rows) if name in marked else self._clean(name, column, rows)
            for name, column in batch.items()
        }

    def _clean(self, name: str, column: pa.Array, rows: RowNumbers) -> pa.Array:
        if self._guessed:
            self._doubt(name, column, rows)
        return self._flags(name, column) if pa.types.is_dictionary(column.type) else column

    def _flags(self, name: str, column: pa.Array) -> pa.Array:
        """Zeros and ones of a label or a flag that were written with a decimal comma, written with a point."""
        feature = self._contract.by_name.get(name)
        if feature is not None and feature.is_category:
            return column
        texts = column.dictionary
        with_comma = pc.match_substring_regex(texts, _FLAG)
        if not pc.any(with_comma).as_py():
            return column
        self._findings.changes.add(notes.DECIMAL_COMMA, name)
        texts = pc.if_else(with_comma, pc.replace_substring(texts, ",", "."), texts)
        return pa.DictionaryArray.from_arrays(column.indices, texts)

    def _doubt(self, name: str, column: pa.Array, rows: RowNumbers) -> None:
        """Refuse a key or a category whose letters another encoding reads differently."""
        if name in self._doubted:
            return
        texts = column.dictionary if pa.types.is_dictionary(column.type) else column
        for at in np.flatnonzero(matches(texts, r"[^\x00-\x7f]")).tolist():
            text = texts[at].as_py()
            others = other_readings(text)
            if others and not self._is_value(name, text, others):
                row = at if texts is column else int(np.asarray(pc.equal(column.indices, at)).argmax())
                self._refuse(name, text, others[0], int(rows[row]))
                return

    def _is_value(self, name: str, text: str, others: list[str]) -> bool:
        """Whether the contract knows the text as a value of the column, and none of its other readings."""
        feature = self._contract.by_name.get(name)
        if feature is None:
            return False
        values = {*feature.categories, *feature.spellings}
        return text.strip() in values and not any(other.strip() in values for other in others)

    def _refuse(self, name: str, text: str, other: str, row: int) -> None:
        self._doubted.add(name)
        self._findings.add(
            Violation(
                column=name,
                rows=(row,),
                count=1,
                value=f"{text!r} or {other!r}: the file is not UTF-8, and Windows encodings differ in this letter",
                expected="text that can be read in one way",
                cause="two-encodings",
                hint="say which encoding it is with --encoding (reading.encoding in the contract), or save it as UTF-8",
            )
        )
