"""The checks of a data file against :mod:`app.schemas`, batch by batch: one validator for training and scoring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from app.schemas import (
    CODES,
    FEATURE_NAMES,
    FEATURES,
    ID_COLUMN,
    LABEL_COLUMN,
    Feature,
    Features,
    blank_total,
)
from training import causes, notes
from training.hints import LABELS, NUMBER, category_causes, label_causes, number_causes
from training.identities import ID_EXPECTED, IdCheck
from training.names import columns_of
from training.readers import is_text, open_table
from training.violations import FILE, Findings, RowNumbers

LABEL_EXPECTED: Final = "0 or 1, false or true, No or Yes"
YES_NO: Final = ("No", "Yes")
"""The categories of a feature that may be given as booleans."""
BOOLEANS: Final = ("false", "true")
"""Spellings of them in lower case, in the same order."""

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CheckedBatch:
    """Customers that passed every check, as arrays of shape (rows,).

    ``columns`` has, by feature in the order of FEATURES, int8 category codes or float64 numbers, blank totals filled;
    ``ids`` is an Arrow string array without nulls, or ``None`` when the file has no customer_id; ``ids_missing`` tells
    which of them stand for no id, such as a blank or NULL.
    """

    columns: dict[str, npt.NDArray[np.int8] | Numbers]
    ids: pa.Array | None
    ids_missing: Mask | None
    churned: npt.NDArray[np.int8] | None

    @property
    def rows(self) -> int:
        return len(self.columns[FEATURE_NAMES[0]])

    def features(self) -> Features:
        """The model's input, as :func:`app.schemas.encode` makes it."""
        coded = np.empty((self.rows, len(FEATURES)), dtype=np.float32)
        for position, values in enumerate(self.columns.values()):
            coded[:, position] = values
        return coded


def checked_batches(
    path: Path, findings: Findings, *, labelled: bool, batch_rows: int = 65_536
) -> Iterator[CheckedBatch]:
    """Read a CSV or Parquet file in batches and check every value of every row.

    Violations go into ``findings``. From the first one on no batch is yielded, but the file is checked to its end.
    Notes about what was read otherwise than written go there too; they are complete after the last batch.

    Args:
        path: a local file, its format told by its extension.
        findings: receives every violation.
        labelled: whether ``churned`` is required and checked; otherwise it is ignored.
        batch_rows: rows a batch of a Parquet file (a CSV file comes in blocks of bytes).

    Raises:
        DataError: the file is not a readable table at all.
    """
    with open_table(path, findings) as table:
        wanted = _columns(table.fields, findings, labelled=labelled)
        rows_seen = 0
        id_check = IdCheck(findings)
        for rows, batch in table.batches(wanted, batch_rows) if wanted else ():
            rows_seen += len(rows)
            checked = _check(batch, rows, findings, id_check, labelled=labelled)
            if checked is not None and not findings:
                yield checked
        id_check.finish()
        findings.place(table.lines(findings.rows_shown()))
    if not rows_seen and not findings:
        findings.add_column(FILE, "no data row", "at least one customer")


def _columns(fields: Sequence[pa.Field], findings: Findings, *, labelled: bool) -> dict[str, str]:
    """The file's name of each of our columns that can be read; all others are violations."""
    required = {feature.name: feature.expected for feature in FEATURES}
    if labelled:
        required[LABEL_COLUMN] = LABEL_EXPECTED
    expected = required | {ID_COLUMN: ID_EXPECTED}
    kinds = {field.name: field.type for field in fields}
    wanted: dict[str, str] = {}
    for name, theirs in columns_of([field.name for field in fields], required, findings).items():
        if name not in expected:
            continue
        if _can_hold(name, kinds[theirs]):
            wanted[name] = theirs
        else:
            findings.add_column(
                name,
                f"a column of type {kinds[theirs]}",
                expected[name],
                cause=causes.COLUMN_TYPE,
                hint=_type_hint(name, kinds[theirs]),
            )
    return wanted


def _can_hold(name: str, kind: pa.DataType) -> bool:
    """Whether a column of this Arrow type may hold our values at all."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if is_text(kind) or pa.types.is_null(kind):
        return True
    if name == ID_COLUMN:
        return bool(pa.types.is_integer(kind))
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if name == LABEL_COLUMN:
        return bool(number or pa.types.is_boolean(kind))
    return bool(_is_yes_no(name) and pa.types.is_boolean(kind)) if name in CODES else bool(number)


def _is_yes_no(name: str) -> bool:
    return tuple(CODES.get(name, ())) == YES_NO


def _type_hint(name: str, kind: pa.DataType) -> str:
    """The remedy for a column whose type cannot hold its values, when there is a plain one."""
    if name == ID_COLUMN and pa.types.is_floating(kind):
        return "write the ids as text or as whole numbers"
    boolean = pa.types.is_boolean(kind)
    if name in CODES and (boolean or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return "write the categories as text, exactly as documented"
    return "write 1 for true and 0 for false" if boolean else ""


def _check(
    batch: Mapping[str, pa.Array], rows: RowNumbers, findings: Findings, id_check: IdCheck, *, labelled: bool
) -> CheckedBatch | None:
    """Check one batch; ``None`` when a column is missing or of a type that cannot hold its values."""
    columns: dict[str, npt.NDArray[np.int8] | Numbers] = {}
    blank: dict[str, Mask] = {}
    for feature in FEATURES:
        column = batch.get(feature.name)
        if column is None:
            continue
        if feature.categories:
            columns[feature.name] = codes = _category(feature, column, findings)
            wrong = codes < 0
        else:
            columns[feature.name], blank[feature.name], wrong = _number(feature, column, findings)
        if wrong.any():
            judge = partial(category_causes if feature.categories else number_causes, feature)
            findings.add_cells(feature.name, feature.expected, rows[wrong], column.filter(pa.array(wrong)), judge)
    ids = id_check.check(batch[ID_COLUMN], rows) if ID_COLUMN in batch else None
    churned = _labels(batch.get(LABEL_COLUMN), rows, findings) if labelled else None
    if len(columns) < len(FEATURES):
        return None
    # Elementwise on arrays, the same formula as for one customer.
    assumed = blank_total(columns["tenure_months"], columns["monthly_charges"])  # type: ignore[arg-type]
    columns["total_charges"] = np.where(blank["total_charges"], assumed, columns["total_charges"])
    return CheckedBatch(
        columns=columns,
        ids=ids.texts if ids else None,
        ids_missing=ids.missing if ids else None,
        churned=churned,
    )


def _dictionary(column: pa.Array) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """The distinct texts of a column, and for each row the position of its own; the length of them for a blank."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    texts = pc.cast(encoded.dictionary, pa.string())
    return texts, np.asarray(pc.fill_null(pc.cast(encoded.indices, pa.int64()), len(texts)))


def _positions(texts: pa.Array, accepted: Sequence[str]) -> npt.NDArray[np.int8]:
    """Index of each text in ``accepted``; -1 for any other."""
    found = pc.index_in(texts, value_set=pa.array(accepted, pa.string()))
    return np.asarray(pc.fill_null(found, -1)).astype(np.int8)


def _category(feature: Feature, column: pa.Array, findings: Findings) -> npt.NDArray[np.int8]:
    """Index of each value among the feature's categories; -1 for any other value and for a blank."""
    if pa.types.is_boolean(column.type):
        findings.changes.add(notes.BOOLEANS, feature.name)
        return np.asarray(pc.fill_null(pc.cast(column, pa.int8()), -1))
    texts, at = _dictionary(column)
    codes = _positions(texts, feature.categories)
    if (codes < 0).any():
        trimmed = pc.utf8_trim_whitespace(texts)
        codes = _also(codes, _positions(trimmed, feature.categories), notes.TRIMMED, feature.name, findings)
        if _is_yes_no(feature.name):
            spelt = _positions(pc.utf8_lower(trimmed), BOOLEANS)
            codes = _also(codes, spelt, notes.BOOLEANS, feature.name, findings)
    # A null points past the dictionary, at the -1 just added.
    return np.take(np.append(codes, np.int8(-1)), at)


def _also(
    codes: npt.NDArray[np.int8], more: npt.NDArray[np.int8], kind: str, column: str, findings: Findings
) -> npt.NDArray[np.int8]:
    """``codes``, those of ``more`` where there was none, and a note when there was one."""
    added = (codes < 0) & (more >= 0)
    if added.any():
        findings.changes.add(kind, column)
    return np.where(added, more, codes)


def _parsed(text: pa.Array) -> tuple[pa.Array, Mask]:
    """The numbers that texts without blanks around them spell, null where they do not; and where they do not."""
    try:
        return pc.cast(text, pa.float64()), np.zeros(len(text), dtype=np.bool_)
    except pa.ArrowInvalid:
        spelled = pc.match_substring_regex(text, NUMBER)
        wrong = ~np.asarray(pc.fill_null(spelled, True))  # noqa: FBT003 - a blank is judged by the caller
        return pc.cast(pc.if_else(spelled, text, None), pa.float64()), wrong


def _number(feature: Feature, column: pa.Array, findings: Findings) -> tuple[Numbers, Mask, Mask]:
    """Values, where they are blank, and where they are wrong."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    wrong = np.zeros(len(column), dtype=np.bool_)
    # A decimal too is read from its digits: Arrow's own conversion is off by the last bit.
    if is_text(column.type) or pa.types.is_decimal(column.type):
        text = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
        column = pc.if_else(pc.equal(text, ""), None, text)
        numbers, wrong = _parsed(column)
    else:
        numbers = pc.cast(column, pa.float64(), safe=False)
    blank = np.asarray(column.is_null())
    values = np.asarray(pc.fill_null(numbers, 0.0))
    if feature.nullable and pa.types.is_floating(column.type) and (nan := np.isnan(values)).any():
        findings.changes.add(notes.NAN, feature.name, int(nan.sum()))
        blank, values = blank | nan, np.where(nan, 0.0, values)
    minimum, maximum = feature.minimum, feature.maximum
    # Written so that NaN is outside.
    inside = (values >= minimum) & (values <= maximum)
    if feature.integer:
        inside &= values == np.floor(values)
    return values, blank, wrong | np.where(blank, not feature.nullable, ~inside)


def _labels(column: pa.Array | None, rows: RowNumbers, findings: Findings) -> npt.NDArray[np.int8] | None:
    if column is None:
        return None
    texts, at = _dictionary(column)
    trimmed = pc.utf8_trim_whitespace(texts)
    codes = _positions(pc.utf8_lower(trimmed), LABELS)
    churned = np.where(codes < 0, codes, codes >= len(LABELS) // 2).astype(np.int8)
    if (churned < 0).any():
        numbers = np.asarray(pc.fill_null(_parsed(trimmed)[0], -1.0))
        churned = np.where(churned >= 0, churned, np.select([numbers == 0, numbers == 1], [0, 1], -1)).astype(np.int8)
    if pc.any(pc.and_(pc.not_equal(trimmed, texts), pa.array(churned >= 0))).as_py():
        findings.changes.add(notes.TRIMMED, LABEL_COLUMN)
    labels = np.take(np.append(churned, np.int8(-1)), at)
    wrong = labels < 0
    if wrong.any():
        findings.add_cells(LABEL_COLUMN, LABEL_EXPECTED, rows[wrong], column.filter(pa.array(wrong)), label_causes)
    return labels
