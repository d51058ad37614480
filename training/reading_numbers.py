"""Rewrites the numbers of text columns with a decimal point and nothing else; two possible readings are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.contract import Contract, Reading
from app.feature import Feature
from training import notes
from training.hints import NUMBER
from training.reading_marks import Evidence, Mark, Refusal, by_option, decimal_mark, matches, plain, undressed
from training.violations import Batches, Findings, RowNumbers, Violation, always

TWO_READINGS: Final = "two-readings"
_PLAIN: Final = b"0123456789+-eE"
"""Bytes of numbers without any mark."""

Undressed = tuple[pa.Array, np.ndarray, np.ndarray]
Rescan = Callable[[Sequence[str]], Batches]
"""Reads columns of the file once more, from its beginning."""


@dataclass(frozen=True, kw_only=True)
class Marked:
    """A column of numbers in one batch.

    Attributes:
        texts: as they are written, perhaps without blanks around them.
        undressed: the numbers among them, as of :func:`training.reading_marks.undressed`; ``None`` if no mark in them
            needs a decision.
        evidence: what their marks show.
    """

    texts: pa.Array
    undressed: Undressed | None = None
    evidence: Evidence = field(default_factory=Evidence)


class Numbers:
    """The number columns of one file.

    A column is read as it is until its first number with a mark that does not prove itself a decimal point. Then the
    whole column is looked at, once, before anything of that batch is handed over.
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
        self._whole: dict[str, Evidence] = {}
        """What all values of a column show, once the whole file was read for it."""
        self._refused: set[str] = set()

    def holds(self, name: str) -> bool:
        """Whether a column of the contract holds numbers, other than flags."""
        return name in self._features

    def marked(self, batch: Mapping[str, pa.Array], rows: RowNumbers) -> dict[str, Marked]:
        """The columns of numbers in a batch; the file is read once for all that leave open what their marks mean."""
        columns = {name: self._marked(name, _decoded(batch[name]), rows) for name in batch if self.holds(name)}
        self._look([name for name, column in columns.items() if self._is_open(name, column.evidence)])
        return columns

    def clean(self, name: str, column: Marked, rows: RowNumbers) -> pa.Array:
        """Numbers with a decimal point; texts that are no number stay as they are."""
        if column.undressed is None:
            return column.texts
        return self._rewrite(name, column.texts, column.undressed, self._decide(name, column.evidence), rows)

    def _marked(self, name: str, column: pa.Array, rows: RowNumbers) -> Marked:
        data = _bytes(column)
        marks = data.translate(None, delete=_PLAIN)
        if not marks or (not marks.strip(b".") and self._point(name, column, rows)):
            return Marked(texts=column)
        texts = pc.utf8_trim_whitespace(column)
        odd = ~(matches(texts, NUMBER) | np.asarray(pc.is_null(texts)) | self._is_spelling(name, texts))
        odd &= ~np.asarray(pc.fill_null(pc.equal(texts, ""), True), dtype=bool)  # noqa: FBT003 - a value of the array
        if not odd.any() and self._point(name, texts, rows):
            return Marked(texts=texts)
        numbers, currency, groups = undressed(texts, self._reading)
        if pc.all(pc.is_null(numbers)).as_py():
            return Marked(texts=texts)
        evidence = Evidence()
        evidence.add(numbers, rows)
        return Marked(texts=texts, undressed=(numbers, currency, groups), evidence=evidence)

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

    def _is_open(self, name: str, here: Evidence) -> bool:
        """Whether only the whole file can tell what the marks of a column mean."""
        return by_option(self._reading) is None and bool(here.clear or here.ambiguous) and not self._settled(name, here)

    def _settled(self, name: str, here: Evidence) -> bool:
        """Whether the mark of a column is known, and these rows do not contradict it."""
        return name in self.decimals and set(here.clear) <= {self.decimals[name]}

    def _look(self, names: Sequence[str]) -> None:
        """Read columns of the whole file that were not yet looked at."""
        fresh = {name: Evidence() for name in names if name not in self._whole}
        if not fresh:
            return
        for rows, batch in self._rescan(list(fresh)):
            for name, evidence in fresh.items():
                evidence.add(undressed(batch[name], self._reading)[0], rows)
        self._whole |= fresh

    def _decide(self, name: str, here: Evidence) -> Mark:
        """The decimal mark of the column, by the whole file if these rows leave it open."""
        if self._settled(name, here):
            return self.decimals[name]
        evidence = self._whole[name] if self._is_open(name, here) else here
        mark = decimal_mark(self._features[name], evidence, self._reading)
        if isinstance(mark, Refusal):
            self._refuse(name, mark)
            mark = self.decimals.get(name, ".")
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

    def _rewrite(self, name: str, texts: pa.Array, parts: Undressed, mark: Mark, rows: RowNumbers) -> pa.Array:
        numbers, currency, groups = parts
        rewritten, marked = plain(numbers, mark, self._reading)
        self._note(notes.CURRENCY, name, currency)
        self._note(notes.THOUSANDS, name, marked | groups)
        left = np.asarray(pc.is_null(rewritten))
        # What breaks the rule of the column must not be read by another rule.
        wrong = left & (matches(texts, NUMBER) | np.asarray(pc.is_valid(numbers)))
        wrong &= ~self._is_spelling(name, texts)
        if wrong.any() and mark == ",":
            expected = "a number with a decimal comma, as the others of the column"
            judge = always("not-a-number")
            self._findings.add_cells(name, expected, rows[wrong], texts.filter(pa.array(wrong)), judge)
            texts = pc.if_else(pa.array(wrong), f"{self._features[name].lowest!r}", texts)
        return pc.if_else(pa.array(left), texts, rewritten)

    def _note(self, kind: str, name: str, mask: np.ndarray) -> None:
        if count := int(mask.sum()):
            self._findings.changes.add(kind, name, count)


def _decoded(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _bytes(column: pa.Array) -> bytes:
    """The characters of all values of a string array, one after another."""
    _, offsets, data = column.buffers()
    if data is None:
        return b""
    ends = np.frombuffer(offsets, np.int32)[[column.offset, column.offset + len(column)]]
    return memoryview(data)[ends[0] : ends[1]].tobytes()
