"""Customer ids: which are missing, and which belong to several customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from app.contract import Key
from training import causes, notes
from training.notes import counted
from training.violations import Findings, RowNumbers, always

MISSING: Final = ("", "null", "none", "nan", "n/a", "na", "<na>", "#n/a")
"""Texts that stand for a missing id, in lower case."""
_LONGEST: Final = max(map(len, MISSING))
_DECIMAL: Final = r"^\d+\.0+$"
"""An id that some program wrote as a decimal number."""
_WHOLE: Final = r"^-?\d+$"
_EXACT: Final = 2**53
"""From here on, a float does not tell an integer from the next."""

_FIXED: Final = "gender"
"""A feature in which the rows of one customer do not differ."""
_TENURE: Final = "tenure_months"
"""A feature in which they do: other rows of one customer are from other months."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Ids:
    """The ids of a batch: the texts without the spaces around them, never null, and which of them are missing."""

    texts: pa.Array
    missing: Mask


class IdCheck:
    """Checks the ids of a file batch by batch."""

    def __init__(self, key: Key, findings: Findings) -> None:
        self._key = key
        self._findings = findings

    def check(self, column: pa.Array, rows: RowNumbers) -> Ids:
        """Read the ids of a batch; values that cannot be an id become violations.

        An id that is a number, such as 5 or 5.0, is read as its digits.
        """
        name, pattern = self._key.name, self._key.pattern
        floating = pa.types.is_floating(column.type)
        texts = _digits(column) if floating else pc.cast(column, pa.string())
        if texts.null_count:
            texts = pc.fill_null(texts, "")
        fits = _matches(texts, pattern)
        if not fits.all():
            trimmed = pc.utf8_trim_whitespace(texts)
            if pc.any(pc.and_(pc.not_equal(trimmed, texts), pc.not_equal(trimmed, ""))).as_py():
                self._findings.changes.add(notes.TRIMMED, name)
            texts, fits = trimmed, _matches(trimmed, pattern)
        # Faster than the pattern, which few of them match.
        if pc.any(pc.match_substring(texts, ".0")).as_py() and (decimal := _matches(texts, _DECIMAL)).any():
            self._findings.changes.add(notes.DECIMAL_IDS, name, int(decimal.sum()))
            texts = pc.if_else(pa.array(decimal), pc.replace_substring_regex(texts, r"\.0+$", ""), texts)
        missing = _missing(texts)
        if missing.any():
            self._findings.changes.add(notes.IDS_MISSING, name, int(missing.sum()))
        if floating:
            fits &= _matches(texts, _WHOLE)
        wrong = ~(fits | missing)
        if wrong.any():
            judge = always(causes.BAD_ID)
            self._findings.add_cells(name, expected(self._key), rows[wrong], texts.filter(pa.array(wrong)), judge)
        return Ids(texts=texts, missing=missing)


def expected(key: Key) -> str:
    """What an id must be, in words for an error message."""
    return f"a text that matches {key.pattern}"


def _digits(column: pa.Array) -> pa.Array:
    """Whole numbers as their digits, other numbers as they are written."""
    numbers = np.asarray(pc.fill_null(pc.cast(column, pa.float64()), np.nan))
    whole = (numbers == np.floor(numbers)) & (np.abs(numbers) < _EXACT)
    digits = pc.cast(pa.array(np.where(whole, numbers, 0).astype(np.int64)), pa.string())
    return pc.if_else(pa.array(whole), digits, pc.cast(column, pa.string()))


def with_unique_missing(ids: pd.Series[str], missing: Mask) -> pd.Series[str]:
    """Replace each missing id by a text of its own, which cannot be an id because it has spaces."""
    if not missing.any():
        return ids
    own = pd.Series([f"row {number} without id" for number in np.flatnonzero(missing) + 1], dtype=object)
    filled = ids.to_numpy(dtype=object, copy=True)
    filled[missing] = own
    return pd.Series(filled, name=ids.name, dtype=object)


def repeated(ids: pd.Series[str], customers: pd.DataFrame, *, together: bool = True) -> str | None:
    """Describe ids that occur in several rows in a sentence; ``None`` if there are none.

    The rows of one customer are from different months: they differ in tenure and perhaps in services, but not in
    gender. An id whose rows differ in gender, or in anything else in the same month of tenure, belongs to several
    customers. Where a contract has no such features, nothing is known about that.

    Args:
        ids: the id of each row; a missing one is unique.
        customers: the features of the same rows.
        together: whether the rows of a customer stay in one part of the data, as they do unless it is split by time.
    """
    several = ids.duplicated(keep=False).to_numpy()
    if not several.any():
        return None
    rows = customers.loc[several]
    keys = pd.Series(pd.factorize(ids[several])[0], index=rows.index)
    different = _different(rows, keys)
    contradicted = keys.isin(different)
    if not different:
        return (
            f"{len(rows):,} rows share {counted(keys.nunique(), 'id', 'ids')}: rows of one id count as one customer"
            + (" and stay together in one part of the data." if together else ", whose earlier rows may be trained on.")
        )
    return (
        f"{int(contradicted.sum()):,} rows share {counted(len(different), 'id', 'ids')} but describe different "
        "customers: give each customer an id of its own, since rows of one id count as one customer."
    )


def _different(rows: pd.DataFrame, keys: pd.Series[int]) -> set[int]:
    """The keys whose rows cannot be of one customer."""
    different: set[int] = set()
    if _FIXED in rows:
        values = rows[_FIXED].groupby(keys, observed=True).nunique()
        different |= set(values.index[values > 1])
    if _TENURE in rows:
        distinct = rows.assign(_id=keys).drop_duplicates()
        months = distinct.groupby(["_id", _TENURE]).size().groupby("_id").max()
        different |= set(months.index[months > 1])
    return different


def _missing(texts: pa.Array) -> Mask:
    # Almost all ids are longer than these words, and their length is faster to compare.
    short = pc.less_equal(pc.binary_length(texts), _LONGEST)
    if not pc.any(short).as_py():
        return np.zeros(len(texts), dtype=np.bool_)
    known = pc.is_in(pc.utf8_lower(texts), value_set=pa.array(MISSING, pa.string()))
    return np.asarray(known, dtype=np.bool_)


def _matches(texts: pa.Array, pattern: str) -> Mask:
    return np.asarray(pc.match_substring_regex(texts, pattern), dtype=np.bool_)
