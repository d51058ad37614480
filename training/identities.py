"""Customer ids: which are missing, and which belong to several customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter

from app.schemas import ID_COLUMN, CustomerId
from training import causes, notes
from training.notes import counted
from training.violations import Findings, RowNumbers

ID_PATTERN: Final[str] = TypeAdapter(CustomerId).json_schema()["pattern"]
ID_EXPECTED: Final = f"a text that matches {ID_PATTERN}"
MISSING: Final = ("", "null", "none", "nan", "n/a", "na", "<na>", "#n/a")
"""Texts that stand for a missing id, in lower case."""
_LONGEST: Final = max(map(len, MISSING))
_DECIMAL: Final = r"^\d+\.0$"

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Ids:
    """The ids of a batch: the texts without the spaces around them, never null, and which of them are missing."""

    texts: pa.Array
    missing: Mask


class IdCheck:
    """Checks the ids of a file batch by batch."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._rows = 0
        self._decimal_rows = 0

    def check(self, column: pa.Array, rows: RowNumbers) -> Ids:
        """Read the ids of a batch; values that cannot be an id become violations."""
        texts = pc.cast(column, pa.string())
        if texts.null_count:
            texts = pc.fill_null(texts, "")
        fits = _matches(texts, ID_PATTERN)
        if not fits.all():
            trimmed = pc.utf8_trim_whitespace(texts)
            if pc.any(pc.and_(pc.not_equal(trimmed, texts), pc.not_equal(trimmed, ""))).as_py():
                self._findings.changes.add(notes.TRIMMED, ID_COLUMN)
            texts, fits = trimmed, _matches(trimmed, ID_PATTERN)
        missing = _missing(texts)
        if missing.any():
            self._findings.changes.add(notes.IDS_MISSING, ID_COLUMN, int(missing.sum()))
        wrong = ~(fits | missing)
        if wrong.any():
            self._findings.add_cells(ID_COLUMN, ID_EXPECTED, rows[wrong], texts.filter(pa.array(wrong)), _bad_id)
        self._count_decimals(texts)
        return Ids(texts=texts, missing=missing)

    def finish(self) -> None:
        """Note what only the whole file shows."""
        if self._rows and self._decimal_rows == self._rows:
            self._findings.changes.add_sentence(
                f"Every {ID_COLUMN} ends in .0, as when whole numbers were saved as decimals: "
                "it is kept so, and is another id than the one without it."
            )

    def _count_decimals(self, texts: pa.Array) -> None:
        # Look further only if the first id is such a number.
        if self._decimal_rows == self._rows and _matches(texts[:1], _DECIMAL).all():
            self._decimal_rows += int(_matches(texts, _DECIMAL).sum())
        self._rows += len(texts)


def with_unique_missing(ids: pd.Series[str], missing: Mask) -> pd.Series[str]:
    """Replace each missing id by a text of its own, which cannot be an id because it has spaces."""
    if not missing.any():
        return ids
    own = pd.Series([f"row {number} without id" for number in np.flatnonzero(missing) + 1], dtype=object)
    filled = ids.to_numpy(dtype=object, copy=True)
    filled[missing] = own
    return pd.Series(filled, name=ids.name, dtype=object)


def repeated(ids: pd.Series[str], customers: pd.DataFrame) -> str | None:
    """Describe ids that occur in several rows in a sentence; ``None`` if there are none.

    The rows of one customer are from different months: they differ in tenure and perhaps in services, but not in
    gender. An id whose rows differ in gender, or in anything else in the same month of tenure, belongs to several
    customers.

    Args:
        ids: the id of each row; a missing one is unique.
        customers: the features of the same rows.
    """
    several = ids.duplicated(keep=False).to_numpy()
    if not several.any():
        return None
    rows = customers.loc[several]
    keys = pd.Series(pd.factorize(ids[several])[0], index=rows.index)
    genders = rows["gender"].cat.codes.groupby(keys).nunique()
    distinct = rows.assign(_id=keys).drop_duplicates()
    months = distinct.groupby(["_id", "tenure_months"]).size().groupby("_id").max()
    different = set(genders.index[genders > 1]) | set(months.index[months > 1])
    contradicted = keys.isin(different)
    if not different:
        return (
            f"{len(rows):,} rows share {counted(keys.nunique(), 'id', 'ids')}: rows of one id count as one customer "
            "and stay together in one part of the data."
        )
    return (
        f"{int(contradicted.sum()):,} rows share {counted(len(different), 'id', 'ids')} but describe different "
        "customers: give each customer an id of its own, since rows of one id count as one customer."
    )


def _missing(texts: pa.Array) -> Mask:
    # Almost all ids are longer than these words, and their length is faster to compare.
    short = pc.less_equal(pc.binary_length(texts), _LONGEST)
    if not pc.any(short).as_py():
        return np.zeros(len(texts), dtype=np.bool_)
    known = pc.is_in(pc.utf8_lower(texts), value_set=pa.array(MISSING, pa.string()))
    return np.asarray(known, dtype=np.bool_)


def _matches(texts: pa.Array, pattern: str) -> Mask:
    return np.asarray(pc.match_substring_regex(texts, pattern), dtype=np.bool_)


def _bad_id(values: pa.Array) -> npt.NDArray[np.object_]:
    return np.full(len(values), causes.BAD_ID, dtype=object)
