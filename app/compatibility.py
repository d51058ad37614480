"""Whether clients of one contract can go on unchanged with another: every body that was valid must stay valid.

A body is one customer in JSON. What a value counts as inside (its code, the rule for a blank) travels with the model,
and matters to nobody outside; neither do prose, order, and what only files use.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from app.contract import Contract, Key
from app.feature import Feature, plain

Verdict: TypeAlias = Literal["same", "compatible", "breaking"]

_PROSE: Final = ("description", "unit")
_INSIDE: Final = {
    "name": "name",
    "label": "label",
    "as_of": "as_of",
    "money_at_risk": "money_at_risk",
    "slices": "slices",
    "fairness": "rule of fairness",
    "cost": "cost",
    "reading": "reading of files",
    "ignored": "ignored columns",
    "leaks": "leaks",
    "example": "example",
    "description": "description",
}


@dataclass(frozen=True)
class Reason:
    """One difference, in words; ``column`` is the key or feature that it is about, if it is about one."""

    text: str
    breaking: bool = False
    column: str | None = None

    def __str__(self) -> str:
        return f"{self.column}: {self.text}" if self.column else self.text


@dataclass(frozen=True)
class Difference:
    """How a contract differs from an older one; ``reasons`` has every difference, the breaking ones first."""

    reasons: tuple[Reason, ...]

    @property
    def verdict(self) -> Verdict:
        if not self.reasons:
            return "same"
        return "breaking" if self.reasons[0].breaking else "compatible"

    @property
    def breaking(self) -> tuple[Reason, ...]:
        """Why clients break; empty if none does."""
        return tuple(reason for reason in self.reasons if reason.breaking)


def compare(old: Contract, new: Contract) -> Difference:
    """Compare two contracts from the view of a client that was written for the old one.

    Returns:
        "same" for equal contracts; "compatible" if each customer in JSON that the old one accepts is accepted by the
        new one; else "breaking", which is cautious in one case: numbers that became whole numbers count as broken even
        if no fraction lies between their bounds.
    """
    if old.canonical == new.canonical:
        return Difference(())
    reasons = [*_keys(old.key, new.key), *_features(old, new), *_rest(old, new)]
    return Difference(tuple(sorted(reasons, key=lambda reason: not reason.breaking)))


def _keys(old: Key, new: Key) -> Iterator[Reason]:
    if old.name != new.name:
        yield Reason(
            f"the key is called {new.name} now; requests that send {old.name} are refused",
            breaking=True,
            column=old.name,
        )
    missing = sorted(c for c in old.symbols if not _allows(new, c))
    if old.letters == "unicode" and new.letters == "ascii":
        yield Reason(
            "letters and digits beyond A to Z and 0 to 9 are no longer allowed", breaking=True, column=old.name
        )
    elif old.letters != new.letters:
        yield Reason("letters and digits of any script are allowed now", column=new.name)
    if missing:
        yield Reason(f"{' '.join(map(repr, missing))} no longer allowed", breaking=True, column=old.name)
    elif added := sorted(set(new.symbols) - set(old.symbols)):
        yield Reason(f"{' '.join(map(repr, added))} allowed now", column=new.name)
    if old.max_length != new.max_length:
        shorter = new.max_length < old.max_length
        yield Reason(f"at most {new.max_length} characters, not {old.max_length}", breaking=shorter, column=new.name)
    if old.aliases != new.aliases:
        yield Reason("other aliases, which only files use", column=new.name)
    if old.description != new.description:
        yield Reason("only prose changed", column=new.name)


def _allows(key: Key, symbol: str) -> bool:
    """Whether a key may have a symbol: listed, or one of the marks that belong to the letters of any script."""
    return symbol in key.symbols or (key.letters == "unicode" and unicodedata.category(symbol).startswith("M"))


def _features(old: Contract, new: Contract) -> Iterator[Reason]:
    renamed = {alias: f.name for f in new.features for alias in f.aliases}
    for feature in old.features:
        other = new.by_name.get(feature.name)
        if other is None:
            alias = renamed.get(feature.name)
            hint = f" (it is an alias of {alias} now, which only files use)" if alias else ""
            yield Reason(f"removed; requests that send it are refused{hint}", breaking=True, column=feature.name)
        else:
            yield from (Reason(text, breaking=breaks, column=feature.name) for text, breaks in _changes(feature, other))
    for feature in new.features:
        if feature.name not in old.by_name:
            text = "added; may be left out" if feature.nullable else "added without a rule for blanks; requests lack it"
            yield Reason(text, breaking=not feature.nullable, column=feature.name)
    common = [name for name in new.names if name in old.by_name]
    if common != [name for name in old.names if name in new.by_name]:
        yield Reason("the features have another order, which only the model sees")


def _changes(old: Feature, new: Feature) -> Iterator[tuple[str, bool]]:
    """What changed in a feature, each with whether it breaks clients."""
    if old.type != new.type:
        yield f"type {new.type}, not {old.type}", (old.type, new.type) != ("integer", "number")
    if old.is_category and new.is_category:
        yield from _categories(old, new)
    elif {old.type, new.type} <= {"integer", "number"}:
        yield from _bounds(old, new)
    if old.nullable and not new.nullable:
        yield "may no longer be blank", True
    elif new.nullable and not old.nullable:
        yield "may be blank now", False
    elif old.blank != new.blank:
        yield "a blank counts as something else", False
    if (old.aliases, old.spellings) != (new.aliases, new.spellings):
        yield "other aliases or spellings, which only files use", False
    if any(getattr(old, key) != getattr(new, key) for key in _PROSE):
        yield "only prose changed", False


def _categories(old: Feature, new: Feature) -> Iterator[tuple[str, bool]]:
    removed = [c for c in old.categories if c not in new.codes]
    added = [c for c in new.categories if c not in old.codes]
    if removed:
        yield f"without {_listed(removed)}", True
    if added:
        yield f"with {_listed(added)}", False
    if not removed and not added and old.categories != new.categories:
        yield "the categories have another order, which only the model sees", False


def _bounds(old: Feature, new: Feature) -> Iterator[tuple[str, bool]]:
    low, high = (old.lowest, old.highest) if old.type == "number" else (math.ceil(old.lowest), math.floor(old.highest))
    if old.lowest != new.lowest:
        yield f"minimum {plain(new.lowest)}, not {plain(old.lowest)}", new.lowest > low
    if old.highest != new.highest:
        yield f"maximum {plain(new.highest)}, not {plain(old.highest)}", new.highest < high


def _rest(old: Contract, new: Contract) -> Iterator[Reason]:
    for key, words in _INSIDE.items():
        if getattr(old, key) != getattr(new, key):
            yield Reason(f"another {words}" if key != "description" else "only prose changed: description")


def _listed(texts: list[str]) -> str:
    shown = ", ".join(map(repr, texts[:5]))
    return shown if len(texts) <= 5 else f"{shown} and {len(texts) - 5} more"  # noqa: PLR2004 - enough to recognise
