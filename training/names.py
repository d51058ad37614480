"""Matches the columns of a file to those of a contract, and guesses what its other names mean."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from app.contract import Contract
from training import causes, notes
from training.hints import LABELS, fold
from training.violations import FILE, Findings, shown

SIMILAR: Final = 0.8
"""Lowest ratio of :mod:`difflib` at which a name counts as a misspelling of another."""
COMPARED: Final = 100
"""Largest number of unknown names that are compared with the missing ones; a file with more has another schema."""

_LABEL_IN_USE: Final = ("churnlabel", "churnvalue")
"""Folded names of the label in IBM's newer file, which has it both in words and as a number."""
_INDEX: Final = re.compile(r"^(Unnamed: 0(\.\d+)*|__index_level_\d+__)$")
"""Names under which pandas writes the row index of a frame."""
_EXPECTED: Final = {
    causes.RENAME: "the name {}",
    causes.AGAIN: "one column for {}",
    causes.LEAK: "no column that tells who churned, which a model must not know",
}
_LABEL: Final = re.compile(
    r"^((is|has)?churn(ed|er)?(flag|yn|ind|indicator|status)?|exited|attrition(flag)?|target|label)$"
)
"""Folded names that other data sets use for the label."""
_LEAK: Final = re.compile(r"^(churn|customerstatus$)")
"""Folded names of columns that can be known only after a customer churned: IBM's Churn Score, Churn Reason and so
on."""
_TELLS_NOTHING: Final = frozenset({"No", "Yes"})


class Names:
    """The names that the columns of a file may have by a contract, compiled once."""

    def __init__(self, contract: Contract, *, dated: bool = False) -> None:
        """Compile them.

        Args:
            contract: whose columns they are.
            dated: whether ``as_of`` is read; if not, it is ignored.
        """
        self.contract = contract
        days = {contract.as_of} if contract.as_of is not None else set()
        self.few_values: Final = frozenset(
            {f.name for f in contract.features if f.is_category or f.type == "boolean"} | {contract.label.name}
        )
        """Columns with few distinct values: those are checked instead of the rows."""
        self.telling: Final = frozenset(c for f in contract.features for c in f.categories) - _TELLS_NOTHING
        """Values that are no column names."""
        self.label_texts: Final = frozenset(
            {*LABELS, *(text.lower() for text in (*contract.label.churned, *contract.label.stayed))}
        )
        """Accepted texts of the label in lower case."""
        self._columns = (*contract.names, contract.key.name, contract.label.name, *(days if dated else ()))
        self._theirs = {alias: name for name, aliases in contract.aliases.items() for alias in aliases}
        self._unused = frozenset({*contract.ignored} | (set() if dated else days))
        self._leaks = frozenset(map(fold, contract.leaks))
        self._spelt = _spelt([*((name, name) for name in (*self._columns, *self._unused)), *self._theirs.items()])
        self._folded = (
            dict.fromkeys(set(_LABEL_IN_USE) - self._leaks, contract.label.name)
            | {fold(theirs): ours for theirs, ours in self._theirs.items()}
            | {fold(ours): ours for ours in self._columns}
        )

    def ours(self, name: str) -> str:
        """The contract's name for a column: the same name, or the one that an alias stands for."""
        return name if name in self._columns else self._theirs.get(name, name)

    def known(self, name: str) -> str | None:
        """The column of the contract that ``name`` spells, ignoring case, spaces and punctuation."""
        return self._folded.get(fold(name))

    def same_but_spelt(self, name: str) -> str | None:
        """The one name of the contract that ``name`` differs from only in case, spaces and punctuation, if it is one.

        It may be a column, also by an alias, or one that is not used.
        """
        targets = self._spelt.get(fold(name))
        only, *others = targets or (None,)
        return None if others else only

    def columns_of(self, names: Sequence[str], required: Mapping[str, str], findings: Findings) -> dict[str, str]:
        """Map each column of the contract to its name in the file; everything wrong with names becomes a violation.

        A column is also known by a name that differs from one of the contract's only in case, spaces and punctuation,
        unless two columns would be the same one. A column that needs another name is mapped all the same, so that its
        values are checked too.

        Args:
            names: the columns of the file, in order.
            required: what a value must be, of each column that must be there.
            findings: receives violations, and notes about names, a row index and ignored columns.
        """
        counts = Counter(self.ours(name) for name in self._used(names, findings))
        exact = {self.ours(name): name for name in names if counts[self.ours(name)] == 1 and self._has(name)}
        unknown = [name for name in counts if name not in self._columns]
        renamed = self._renamed(unknown, set(counts))
        matched = (counts.keys() | renamed.keys()) & self.contract.by_name.keys()
        others = len(unknown) - len(renamed)
        if len(matched) < len(self.contract.features) / 2 and others > len(matched):
            self._another_schema(sorted(matched), findings)
            return {}
        for name, count in counts.items():
            if name in self._columns and count > 1:
                findings.add_column(name, f"{count} columns stand for it", "one", cause="doubled-column")
        missing = [name for name in required if name not in counts and name not in renamed]
        near = self._explain(unknown, renamed, missing, findings)
        for name in missing:
            if name not in near:
                findings.add_column(name, "column is missing", required[name], cause=causes.MISSING_COLUMN)
        return exact | renamed

    def _has(self, name: str) -> bool:
        return self.ours(name) in self._columns

    def _another_schema(self, matched: Sequence[str], findings: Findings) -> None:
        contract = self.contract
        match = f"only {', '.join(matched)} match; " if matched else ""
        findings.add_column(
            FILE,
            f"this looks like another schema: {len(matched)} of {len(contract.features)} columns match",
            f"the columns of the contract {contract.name!r}, in its names or their aliases",
            cause="other-schema",
            hint=f"{match}map your columns to {', '.join(contract.names)} first, or give the contract of these "
            "customers with --contract: `churn contract infer` describes a file",
        )

    def _used(self, names: Sequence[str], findings: Findings) -> list[str]:
        """The names without those of a row index and of columns that are known and not used."""
        used = []
        for position, name in enumerate(names):
            if _INDEX.match(name) or (position == 0 and not name.strip() and len(names) > 1):
                findings.changes.add(notes.INDEX, repr(name))
                continue
            theirs = name if name in self._unused or self._has(name) else self.same_but_spelt(name)
            if theirs not in self._unused:
                used.append(name)
            elif theirs in self.contract.ignored:
                findings.changes.add(notes.IGNORED, name)
        return used

    def _renamed(self, unknown: Sequence[str], taken: set[str]) -> dict[str, str]:
        """The unknown names that differ from ours only in case, spaces and punctuation, by our name."""
        renamed: dict[str, str] = {}
        for name in unknown:
            target = self.known(name)
            if target and target not in taken:
                renamed.setdefault(target, name)
        return renamed

    def _explain(
        self, unknown: Sequence[str], renamed: Mapping[str, str], missing: Sequence[str], findings: Findings
    ) -> set[str]:
        """Report every unknown name with its probable meaning, and note those that are only spelt differently.

        Returns:
            the missing columns that this explains.
        """
        by_fold = {fold(name): name for name in missing}
        by_fold |= {fold(theirs): name for theirs, name in self._theirs.items() if name in missing}
        targets = {name: target for target, name in renamed.items()}
        near: set[str] = set()
        for position, name in enumerate(unknown):
            if name in targets and self.same_but_spelt(name) == targets[name]:
                findings.changes.add(notes.RENAMED, f"{name!r} as {targets[name]}")
                continue
            if name in targets:
                cause, meant = causes.RENAME, targets[name]
            elif target := self.known(name):
                cause, meant = causes.AGAIN, target
            else:
                cause, meant = self._guess(name, by_fold if position < COMPARED else {}, missing, near)
            if cause == causes.NEAR_NAME:
                near.add(meant)
            expected = _EXPECTED.get(cause, "only the documented columns").format(meant)
            findings.add_column(shown(repr(name)), "unknown column", expected, cause=cause, meant=meant)
        return near

    def _guess(self, name: str, by_fold: Mapping[str, str], missing: Sequence[str], near: set[str]) -> tuple[str, str]:
        """The cause of a name that spells no column, and the column that it probably means."""
        folded, label = fold(name), self.contract.label.name
        if folded in self._leaks:
            return causes.LEAK, ""
        if _LABEL.match(folded) and label in missing and label not in near:
            return causes.NEAR_NAME, label
        if _LEAK.match(folded) or _LABEL.match(folded):
            return causes.LEAK, ""
        if similar := difflib.get_close_matches(folded, by_fold, 1, SIMILAR):
            return causes.NEAR_NAME, by_fold[similar[0]]
        return (causes.UNKNOWN_COLUMN if name.strip() else causes.UNNAMED_COLUMN), ""


def _spelt(names: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """The columns that each folded name may stand for, from pairs of a name and its column."""
    columns: dict[str, set[str]] = {}
    for name, column in names:
        columns.setdefault(fold(name), set()).add(column)
    return columns
