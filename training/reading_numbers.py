"""Rewrites the numbers of text columns with a decimal point and nothing else; two possible readings are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.contract import Contract, Reading
from app.feature import Feature
from training import notes
from training.hints import NUMBER
from training.reading_marks import Evidence, Mark, Refusal, decimal_mark, matches, plain, undressed
from training.violations import Findings, RowNumbers, Violation

TWO_READINGS: Final = "two-readings"
_PLAIN: Final = b"0123456789+-eE"
"""Bytes of numbers without any mark."""

Rescan = Callable[[Sequence[str]], Iterable[tuple[RowNumbers, Mapping[str, pa.Array]]]]
"""Reads columns of the file once more, from its beginning."""


class Numbers:
    """The number columns of one file.

    A column is read as it is until its first number with a mark that does not prove itself a decimal point. Then the
    whole column is looked at, once, before anything of it is handed over.
    """

    def __init__(self, contract: Contract, reading: Reading, findings: Findings, rescan: Rescan) -> None:
        self._reading = reading
        self._findings = findings
        self._rescan = rescan
        self._features: Mapping[str, Feature] = {
            f.name: f for f in contract.features if f.type in {"integer", "number"}
        }
        self._spelt = {f.name: pa.array(f.spellings, pa.string()) for f in self._features.values() if f.spellings}
        self.decimals: dict[str, Mark] = {}
        """The decimal mark of each column that shows one."""
        self._refused: set[str] = set()

    def holds(self, name: str) -> bool:
        """Whether a column of the contract holds numbers, other than flags."""
        return name in self._features

    def clean(self, name: str, column: pa.Array, rows: RowNumbers) -> pa.Array:
        """Numbers with a decimal point; texts that are no number stay as they are."""
        data = _bytes(column)
        marks = data.translate(None, delete=_PLAIN)
        if not marks or (not marks.strip(b".") and self._point(name, column, rows)):
            return column
        texts = pc.utf8_trim_whitespace(column)
        odd = ~(matches(texts, NUMBER) | np.asarray(pc.is_null(texts)) | self._is_spelling(name, texts))
        odd &= ~np.asarray(pc.fill_null(pc.equal(texts, ""), True), dtype=bool)  # noqa: FBT003 - a value of the array
        if not odd.any() and self._point(name, texts, rows):
            return texts
        numbers, currency, groups = undressed(texts, self._reading)
        if pc.all(pc.is_null(numbers)).as_py():
            return texts
        mark = self._decide(name, numbers, rows)
        return self._rewrite(name, texts, numbers, mark, rows, currency, groups)

    def _is_spelling(self, name: str, texts: pa.Array) -> np.ndarray:
        spelt = self._spelt.get(name)
        if spelt is None:
            return np.zeros(len(texts), dtype=bool)
        return np.asarray(pc.is_in(texts, value_set=spelt), dtype=bool)

    def _point(self, name: str, column: pa.Array, rows: RowNumbers) -> bool:
        """Whether a point in this column is known to be decimal; a value of these rows may prove it."""
        if name not in self.decimals and self._reading.decimal is None and self._reading.thousands is None:
            evidence = Evidence()
            evidence.add(column, rows)
            if list(evidence.clear) == ["."]:
                self.decimals[name] = "."
            elif not evidence.clear and not evidence.ambiguous:
                return True
        return self.decimals.get(name, self._reading.decimal) == "."

    def _decide(self, name: str, numbers: pa.Array, rows: RowNumbers) -> Mark:
        """The decimal mark of the column, for which the whole file is read once if these rows leave it open."""
        known = self.decimals.get(name)
        here = Evidence()
        here.add(numbers, rows)
        if known is not None and set(here.clear) <= {known}:
            return known
        if self._reading.decimal is None and (here.clear or here.ambiguous):
            here = Evidence()
            for more_rows, batch in self._rescan([name]):
                here.add(undressed(batch[name], self._reading)[0], more_rows)
        mark = decimal_mark(self._features[name], here, self._reading)
        if isinstance(mark, Refusal):
            self._refuse(name, mark)
            mark = known or "."
        if mark is not None:
            self.decimals[name] = mark
        return mark or "."

    def _refuse(self, name: str, refusal: Refusal) -> None:
        if name in self._refused:
            return
        self._refused.add(name)
        self._findings.add(
            Violation(
                column=name,
                rows=(),
                count=0,
                value=refusal.value,
                expected="numbers that can be read in one way",
                cause=TWO_READINGS,
                hint=refusal.hint,
            )
        )

    def _rewrite(
        self,
        name: str,
        texts: pa.Array,
        numbers: pa.Array,
        mark: Mark,
        rows: RowNumbers,
        currency: np.ndarray,
        groups: np.ndarray,
    ) -> pa.Array:
        rewritten, marked = plain(numbers, mark, self._reading)
        self._note(notes.CURRENCY, name, currency)
        self._note(notes.THOUSANDS, name, marked | groups)
        left = np.asarray(pc.is_null(rewritten))
        # What breaks the rule of the column must not be read by another rule.
        wrong = left & (matches(texts, NUMBER) | np.asarray(pc.is_valid(numbers)))
        wrong &= ~self._is_spelling(name, texts)
        if wrong.any() and mark == ",":
            expected = "a number with a decimal comma, as the others of the column"
            judge = _judge
            self._findings.add_cells(name, expected, rows[wrong], texts.filter(pa.array(wrong)), judge)
            texts = pc.if_else(pa.array(wrong), f"{self._features[name].lowest!r}", texts)
        return pc.if_else(pa.array(left), texts, rewritten)

    def _note(self, kind: str, name: str, mask: np.ndarray) -> None:
        if count := int(mask.sum()):
            self._findings.changes.add(kind, name, count)


def _judge(values: pa.Array) -> np.ndarray:
    return np.full(len(values), "not-a-number", dtype=object)


def _bytes(column: pa.Array) -> bytes:
    """The characters of all values of a string array, one after another."""
    _, offsets, data = column.buffers()
    if data is None:
        return b""
    ends = np.frombuffer(offsets, np.int32)[[column.offset, column.offset + len(column)]]
    return memoryview(data)[ends[0] : ends[1]].tobytes()
