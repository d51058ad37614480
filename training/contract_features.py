"""Proposes one feature of a contract from a column: its type, bounds or categories, and what a blank counts as."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from app.feature import MAX_EXACT
from training.contract_profile import Column

_MARGIN: Final = 0.5
"""Share of the range by which bounds go beyond the values of the file."""
_UNKNOWN: Final = "Unknown"
"""The category that a blank counts as: a model can learn what it means."""
_FINEST: Final = 1e-12
"""Smallest step between bounds: numbers below it are noise."""
_YES: Final = ("1", "1.0", "true")


@dataclass(frozen=True, kw_only=True)
class ProposedFeature:
    """A feature as a document, a typical value that is no customer's own row, and sentences for a comment."""

    feature: dict[str, Any]
    typical: bool | float | str
    comments: tuple[str, ...]


def propose(column: Column, name: str) -> ProposedFeature:
    """Propose a feature for a column that can be one."""
    comments: tuple[str, ...] = ()
    body: dict[str, Any]
    typical: bool | float | str
    if column.kind == "boolean" or (column.kind == "integer" and set(column.numbers.tolist()) == {0, 1}):
        body, typical = {"type": "boolean"}, next(iter(column.counts)).lower() in _YES
    elif column.kind == "text":
        body, typical = {"type": "category", "categories": sorted(column.counts)}, next(iter(column.counts))
    else:
        low, high = bounds(column.numbers)
        body, typical = {"type": column.kind, "minimum": low, "maximum": high}, _typical(column)
        comments = (f"From {column.numbers.min():.15g} to {column.numbers.max():.15g} in the file.",)
    if column.blanks:
        body |= _blank(body)
        comments += (f"Blank in {column.blanks / len(column.texts):.1%} of the rows.",)
    aliases = {"aliases": [column.name]} if column.name != name else {}
    return ProposedFeature(feature={"name": name} | body | aliases, typical=typical, comments=comments)


def _blank(body: dict[str, Any]) -> dict[str, Any]:
    if body["type"] == "boolean":
        return {"blank": {"constant": False}}
    if body["type"] != "category":
        return {"blank": "median"}
    others = [category for category in body["categories"] if category != _UNKNOWN]
    return {"categories": [*others, _UNKNOWN], "blank": {"constant": _UNKNOWN}}


def _typical(column: Column) -> float:
    median = float(np.median(column.numbers))
    if column.kind == "integer":
        return round(median)
    return float(np.clip(round(median, 2), column.numbers.min(), column.numbers.max()))


def bounds(numbers: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Bounds around numbers: half their range beyond them, rounded outwards to two digits, and never through zero."""
    low, high = float(numbers.min()), float(numbers.max())
    margin = _MARGIN * (high - low)
    step = max(_FINEST, 10.0 ** (math.floor(math.log10(max(abs(low), abs(high)))) - 1))
    if (numbers == np.floor(numbers)).all():
        step = max(1.0, step)
    wide_low, wide_high = math.floor((low - margin) / step) * step, math.ceil((high + margin) / step) * step
    if low >= 0:
        wide_low = max(0.0, wide_low)
    if high <= 0:
        wide_high = min(0.0, wide_high)
    decimals = max(0, 1 - math.floor(math.log10(step)))
    # Rounding away the noise of the steps must not move a bound past a value.
    narrow_low, narrow_high = min(round(wide_low, decimals), low), max(round(wide_high, decimals), high)
    return max(narrow_low, -MAX_EXACT), min(narrow_high, MAX_EXACT)
