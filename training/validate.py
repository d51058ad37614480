"""Checks a data file against :mod:`app.schemas`, batch by batch, for training and for scoring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from app.contract import Reading
from app.schemas import (
    CODES,
    FEATURE_NAMES,
    FEATURES,
    ID_COLUMN,
    LABEL_COLUMN,
    Features,
    blank_total,
)
from training import causes, values
from training.hints import category_causes, number_causes
from training.identities import ID_EXPECTED, IdCheck
from training.names import columns_of
from training.readers import is_text, open_table
from training.reading_parts import Parts
from training.violations import FILE, Findings, RowNumbers


@dataclass(frozen=True, kw_only=True)
class CheckedBatch:
    """Customers that passed every check, as arrays of shape (rows,).

    ``columns`` has, by feature in the order of FEATURES, int8 category codes or float64 numbers, blank totals filled;
    ``ids`` is an Arrow string array without nulls, or ``None`` when the file has no customer_id; ``ids_missing`` marks
    those that stand for no id, such as a blank or NULL.
    """

    columns: dict[str, npt.NDArray[np.int8] | values.Numbers]
    ids: pa.Array | None
    ids_missing: values.Mask | None
    churned: npt.NDArray[np.int8] | None

    @property
    def rows(self) -> int:
        return len(self.columns[FEATURE_NAMES[0]])

    def features(self) -> Features:
        """The model's input, as :func:`app.schemas.encode` makes it."""
        coded = np.empty((self.rows, len(FEATURES)), dtype=np.float32)
        for position, column in enumerate(self.columns.values()):
            coded[:, position] = column
        return coded


def checked_batches(
    path: Path | Parts, findings: Findings, *, labelled: bool, batch_rows: int = 65_536, reading: Reading | None = None
) -> Iterator[CheckedBatch]:
    """Read a table in batches and check every value of every row.

    Violations go into ``findings``. After the first one no batch is yielded, but the file is checked to its end. Notes
    about what was read differently from how it is written go there too; they are complete after the last batch.

    Args:
        path: a local file, or the parts of a table.
        findings: receives every violation.
        labelled: whether ``churned`` is required and checked; if not, it is ignored.
        batch_rows: rows per batch of a Parquet file (a CSV file comes in blocks of bytes).
        reading: how the file is written, where that is not to be found out or differs from the contract.

    Raises:
        DataError: the file is not a readable table at all.
    """
    with open_table(path, findings, reading=reading) as table:
        columns = _columns(table.fields, findings, labelled=labelled)
        rows_seen = 0
        id_check = IdCheck(findings)
        for rows, batch in table.batches(columns, batch_rows) if columns else ():
            rows_seen += len(rows)
            checked = _check(batch, rows, findings, id_check, labelled=labelled)
            if checked is not None and not findings:
                yield checked
        id_check.finish()
        findings.place(table.lines(findings.rows_shown()))
    if not rows_seen and not findings:
        findings.add_column(FILE, "no data row", "at least one customer")


def _columns(fields: Sequence[pa.Field], findings: Findings, *, labelled: bool) -> dict[str, str]:
    """Map each of our columns that can be read to its name in the file; all others become violations."""
    required = {feature.name: feature.expected for feature in FEATURES}
    if labelled:
        required[LABEL_COLUMN] = values.LABEL_EXPECTED
    expected = required | {ID_COLUMN: ID_EXPECTED}
    kinds = {field.name: field.type for field in fields}
    readable: dict[str, str] = {}
    for name, theirs in columns_of([field.name for field in fields], required, findings).items():
        if name not in expected:
            continue
        if _can_hold(name, kinds[theirs]):
            readable[name] = theirs
        else:
            findings.add_column(
                name,
                f"a column of type {kinds[theirs]}",
                expected[name],
                cause=causes.COLUMN_TYPE,
                hint=_type_hint(name, kinds[theirs]),
            )
    return readable


def _can_hold(name: str, kind: pa.DataType) -> bool:
    """Whether a column of this Arrow type can hold our values."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if is_text(kind) or pa.types.is_null(kind):
        return True
    if name == ID_COLUMN:
        return bool(pa.types.is_integer(kind))
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if name == LABEL_COLUMN:
        return bool(number or pa.types.is_boolean(kind))
    return bool(values.is_yes_no(name) and pa.types.is_boolean(kind)) if name in CODES else bool(number)


def _type_hint(name: str, kind: pa.DataType) -> str:
    """The remedy for a column whose type cannot hold its values, if there is a simple one."""
    if name == ID_COLUMN and pa.types.is_floating(kind):
        return "write the ids as text or as whole numbers"
    boolean = pa.types.is_boolean(kind)
    if name in CODES and (boolean or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return "write the categories as text, exactly as documented"
    return "write 1 for true and 0 for false" if boolean else ""


def _check(
    batch: Mapping[str, pa.Array], rows: RowNumbers, findings: Findings, id_check: IdCheck, *, labelled: bool
) -> CheckedBatch | None:
    """Check one batch; returns ``None`` if a column is missing or has a type that cannot hold its values."""
    columns: dict[str, npt.NDArray[np.int8] | values.Numbers] = {}
    blank: dict[str, values.Mask] = {}
    for feature in FEATURES:
        column = batch.get(feature.name)
        if column is None:
            continue
        if feature.categories:
            columns[feature.name] = codes = values.category(feature, column, findings)
            wrong = codes < 0
        else:
            columns[feature.name], blank[feature.name], wrong = values.number(feature, column, findings)
        if wrong.any():
            judge = partial(category_causes if feature.categories else number_causes, feature)
            findings.add_cells(feature.name, feature.expected, rows[wrong], column.filter(pa.array(wrong)), judge)
    ids = id_check.check(batch[ID_COLUMN], rows) if ID_COLUMN in batch else None
    churned = values.labels(batch.get(LABEL_COLUMN), rows, findings) if labelled else None
    if len(columns) < len(FEATURES):
        return None
    # The formula for one customer, applied elementwise to arrays.
    assumed = blank_total(columns["tenure_months"], columns["monthly_charges"])  # type: ignore[arg-type]
    columns["total_charges"] = np.where(blank["total_charges"], assumed, columns["total_charges"])
    return CheckedBatch(
        columns=columns,
        ids=ids.texts if ids else None,
        ids_missing=ids.missing if ids else None,
        churned=churned,
    )
