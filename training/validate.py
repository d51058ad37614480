"""The checks of a data file against :mod:`app.schemas`, batch by batch: one validator for training and scoring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter

from app.schemas import (
    CODES,
    FEATURE_NAMES,
    FEATURES,
    IBM_COLUMNS,
    ID_COLUMN,
    LABEL_COLUMN,
    CustomerId,
    Feature,
    Features,
    blank_total,
)
from training.readers import is_text, open_table
from training.violations import FILE, Findings, RowNumbers, shown

ID_PATTERN: Final[str] = TypeAdapter(CustomerId).json_schema()["pattern"]
ID_EXPECTED: Final = f"a text that matches {ID_PATTERN}"
LABEL_EXPECTED: Final = "0 or 1, false or true, No or Yes"
LABELS: Final = ("0", "false", "no", "0.0", "1", "true", "yes", "1.0")
"""Accepted spellings in lower case; the second half means churned."""
NUMBER: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CheckedBatch:
    """Customers that passed every check, as arrays of shape (rows,).

    ``columns`` has, by feature in the order of FEATURES, int8 category codes or float64 numbers, blank totals filled;
    ``ids`` is an Arrow string array, or ``None`` when the file has no customer_id.
    """

    columns: dict[str, npt.NDArray[np.int8] | Numbers]
    ids: pa.Array | None
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
        for rows, batch in table.batches(wanted, batch_rows) if wanted else ():
            rows_seen += len(rows)
            checked = _check(batch, rows, findings, labelled=labelled)
            if checked is not None and not findings:
                yield checked
    if not rows_seen and not findings:
        findings.add_column(FILE, "no data row", "at least one customer")


def _columns(fields: Sequence[pa.Field], findings: Findings, *, labelled: bool) -> dict[str, str]:
    """The file's name of each of our columns that can be read; all others are violations."""
    ours = {field.name: IBM_COLUMNS.get(field.name, field.name) for field in fields}
    counts = Counter(ours[field.name] for field in fields)
    required = {feature.name: feature.expected for feature in FEATURES}
    if labelled:
        required[LABEL_COLUMN] = LABEL_EXPECTED
    known = required | {ID_COLUMN: ID_EXPECTED, LABEL_COLUMN: LABEL_EXPECTED}
    for name, count in counts.items():
        if name not in known:
            findings.add_column(shown(repr(name)), "unknown column", "only the documented columns: remove or rename it")
        elif count > 1:
            findings.add_column(name, f"{count} columns stand for it", "one")
    for name, expected in required.items():
        if name not in counts:
            findings.add_column(name, "column is missing", expected)
    wanted: dict[str, str] = {}
    for field in fields:
        name = ours[field.name]
        if name not in known or counts[name] > 1 or (name == LABEL_COLUMN and not labelled):
            continue
        if _can_hold(name, field.type):
            wanted[name] = field.name
        else:
            findings.add_column(name, f"a column of type {field.type}", known[name])
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
    return bool(number and name not in CODES)


def _check(
    batch: Mapping[str, pa.Array], rows: RowNumbers, findings: Findings, *, labelled: bool
) -> CheckedBatch | None:
    """Check one batch; ``None`` when a column is missing or of a type that cannot hold its values."""
    columns: dict[str, npt.NDArray[np.int8] | Numbers] = {}
    blank: dict[str, Mask] = {}
    for feature in FEATURES:
        column = batch.get(feature.name)
        if column is None:
            continue
        if feature.categories:
            columns[feature.name], wrong = _category(feature, column)
        else:
            columns[feature.name], blank[feature.name], wrong = _number(feature, column)
        if wrong.any():
            findings.add_cells(feature.name, feature.expected, rows[wrong], column.filter(pa.array(wrong)))
    ids = _ids(batch.get(ID_COLUMN), rows, findings)
    churned = _labels(batch.get(LABEL_COLUMN), rows, findings) if labelled else None
    if len(columns) < len(FEATURES):
        return None
    # Elementwise on arrays, the same formula as for one customer.
    assumed = blank_total(columns["tenure_months"], columns["monthly_charges"])  # type: ignore[arg-type]
    columns["total_charges"] = np.where(blank["total_charges"], assumed, columns["total_charges"])
    return CheckedBatch(columns=columns, ids=ids, churned=churned)


def _codes(column: pa.Array, accepted: Sequence[str]) -> npt.NDArray[np.int8]:
    """Index of each value in ``accepted``; -1 for any other value and for a blank."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    found = pc.index_in(pc.cast(encoded.dictionary, pa.string()), value_set=pa.array(accepted, pa.string()))
    codes = np.append(np.asarray(pc.fill_null(found, -1)), -1).astype(np.int8)
    # A null index points past the dictionary, at the -1 just added.
    at = np.asarray(pc.fill_null(pc.cast(encoded.indices, pa.int64()), len(codes) - 1))
    return np.take(codes, at)


def _category(feature: Feature, column: pa.Array) -> tuple[npt.NDArray[np.int8], Mask]:
    codes = _codes(column, feature.categories)
    return codes, codes < 0


def _number(feature: Feature, column: pa.Array) -> tuple[Numbers, Mask, Mask]:
    """Values, where they are blank, and where they are wrong."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    wrong = np.zeros(len(column), dtype=np.bool_)
    # A decimal too is read from its digits: Arrow's own conversion is off by the last bit.
    if is_text(column.type) or pa.types.is_decimal(column.type):
        text = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
        column = pc.if_else(pc.equal(text, ""), None, text)
        try:
            numbers = pc.cast(column, pa.float64())
        except pa.ArrowInvalid:
            spelled = pc.match_substring_regex(column, NUMBER)
            wrong = ~np.asarray(pc.fill_null(spelled, True))  # noqa: FBT003 - a blank is judged below
            numbers = pc.cast(pc.if_else(spelled, column, None), pa.float64())
    else:
        numbers = pc.cast(column, pa.float64(), safe=False)
    blank = np.asarray(column.is_null())
    values = np.asarray(pc.fill_null(numbers, 0.0))
    minimum, maximum = feature.minimum, feature.maximum
    # Written so that NaN is outside.
    inside = (values >= minimum) & (values <= maximum)
    if feature.integer:
        inside &= values == np.floor(values)
    return values, blank, wrong | np.where(blank, not feature.nullable, ~inside)


def _ids(column: pa.Array | None, rows: RowNumbers, findings: Findings) -> pa.Array | None:
    if column is None:
        return None
    text = pc.cast(column, pa.string())
    wrong = ~np.asarray(pc.fill_null(pc.match_substring_regex(text, ID_PATTERN), False))  # noqa: FBT003 - a blank id is wrong
    if wrong.any():
        findings.add_cells(ID_COLUMN, ID_EXPECTED, rows[wrong], text.filter(pa.array(wrong)))
    return text


def _labels(column: pa.Array | None, rows: RowNumbers, findings: Findings) -> npt.NDArray[np.int8] | None:
    if column is None:
        return None
    text = pc.utf8_lower(pc.cast(column, pa.string()))
    codes = _codes(text, LABELS)
    wrong = codes < 0
    if wrong.any():
        findings.add_cells(LABEL_COLUMN, LABEL_EXPECTED, rows[wrong], column.filter(pa.array(wrong)))
    return (codes >= len(LABELS) // 2).astype(np.int8)
