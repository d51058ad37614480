"""Matches the columns of a file to ours, and guesses what its other names mean."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from app.schemas import FEATURE_NAMES, FEATURES, IBM_COLUMNS, ID_COLUMN, LABEL_COLUMN
from training import causes, notes
from training.hints import fold
from training.violations import FILE, Findings, shown

SIMILAR: Final = 0.8
"""Lowest ratio of :mod:`difflib` at which a name counts as a misspelling of another."""
COMPARED: Final = 100
"""Largest number of unknown names that are compared with the missing ones; a file with more has another schema."""

_OURS: Final = (*FEATURE_NAMES, ID_COLUMN, LABEL_COLUMN)
_FOLDED: Final = {
    **{fold(theirs): ours for theirs, ours in IBM_COLUMNS.items()},
    **{fold(ours): ours for ours in _OURS},
    # IBM's newer file has the label both in words and as a number.
    "churnlabel": LABEL_COLUMN,
    "churnvalue": LABEL_COLUMN,
}
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


def ours(name: str) -> str:
    """Our name for a column: the same name, or the one that IBM's name stands for."""
    return IBM_COLUMNS.get(name, name)


def known(name: str) -> str | None:
    """The column of ours that ``name`` spells, ignoring case, spaces and punctuation."""
    return _FOLDED.get(fold(name))


def recognised(names: Iterable[str]) -> int:
    """Count the ``names`` that are columns of ours, in any spelling."""
    return len({known(name) for name in names} - {None})


def columns_of(names: Sequence[str], required: Mapping[str, str], findings: Findings) -> dict[str, str]:
    """Map each of our columns to its name in the file; everything wrong with the names becomes a violation.

    A column that only needs another name is mapped all the same, so that its values are checked too.

    Args:
        names: the columns of the file, in order.
        required: what a value must be, of each column that must be there.
        findings: receives violations, and a note about a row index.
    """
    counts = Counter(ours(name) for name in _without_index(names, findings))
    exact = {ours(name): name for name in names if ours(name) in _OURS and counts[ours(name)] == 1}
    unknown = [name for name in counts if name not in _OURS]
    renamed = _renamed(unknown, set(counts))
    matched = (counts.keys() | renamed.keys()) & set(FEATURE_NAMES)
    others = len(unknown) - len(renamed)
    if len(matched) < len(FEATURES) / 2 and others > len(matched):
        match = f"only {', '.join(sorted(matched))} match; " if matched else ""
        findings.add_column(
            FILE,
            f"this looks like another schema: {len(matched)} of {len(FEATURES)} columns match",
            "the documented customer columns, in our names or IBM's",
            cause="other-schema",
            hint=f"{match}map your columns to {', '.join(FEATURE_NAMES)} first",
        )
        return {}
    for name, count in counts.items():
        if name in _OURS and count > 1:
            findings.add_column(name, f"{count} columns stand for it", "one", cause="doubled-column")
    missing = [name for name in required if name not in counts and name not in renamed]
    near = _explain(unknown, renamed, missing, findings)
    for name in missing:
        if name not in near:
            findings.add_column(name, "column is missing", required[name], cause=causes.MISSING_COLUMN)
    return exact | renamed


def _without_index(names: Sequence[str], findings: Findings) -> list[str]:
    unexplained = []
    for position, name in enumerate(names):
        if _INDEX.match(name) or (position == 0 and not name.strip() and len(names) > 1):
            findings.changes.add(notes.INDEX, repr(name))
        else:
            unexplained.append(name)
    return unexplained


def _renamed(unknown: Sequence[str], taken: set[str]) -> dict[str, str]:
    """The unknown names that differ from ours only in case, spaces and punctuation, by our name."""
    renamed: dict[str, str] = {}
    for name in unknown:
        target = known(name)
        if target and target not in taken:
            renamed.setdefault(target, name)
    return renamed


def _explain(
    unknown: Sequence[str], renamed: Mapping[str, str], missing: Sequence[str], findings: Findings
) -> set[str]:
    """Report every unknown name with its probable meaning; returns the missing columns that this explains."""
    by_fold = {fold(name): name for name in missing}
    by_fold |= {fold(theirs): name for theirs, name in IBM_COLUMNS.items() if name in missing}
    targets = {name: target for target, name in renamed.items()}
    near: set[str] = set()
    for position, name in enumerate(unknown):
        cause, meant = (causes.UNKNOWN_COLUMN if name.strip() else causes.UNNAMED_COLUMN), ""
        if name in targets:
            cause, meant = causes.RENAME, targets[name]
        elif target := _FOLDED.get(fold(name)):
            cause, meant = causes.AGAIN, target
        elif _LABEL.match(fold(name)) and LABEL_COLUMN in by_fold.values() and LABEL_COLUMN not in near:
            cause, meant = causes.NEAR_NAME, LABEL_COLUMN
        elif _LEAK.match(fold(name)) or _LABEL.match(fold(name)):
            cause = causes.LEAK
        elif position < COMPARED and (similar := difflib.get_close_matches(fold(name), by_fold, 1, SIMILAR)):
            cause, meant = causes.NEAR_NAME, by_fold[similar[0]]
        if cause == causes.NEAR_NAME:
            near.add(meant)
        expected = _EXPECTED.get(cause, "only the documented columns").format(meant)
        findings.add_column(shown(repr(name)), "unknown column", expected, cause=cause, meant=meant)
    return near
