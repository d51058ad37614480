"""Checks a data file against a contract, batch by batch, for training and for scoring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from app.contract import Contract, Features, Reading
from app.feature import Feature
from training import causes, identities, values
from training.days import EXPECTED, DayColumn
from training.days import can_hold as can_hold_days
from training.filling import assumed
from training.hints import category_causes, number_causes
from training.names import Names
from training.readers import is_text, open_table
from training.reading_parts import Parts
from training.violations import FILE, Findings, RowNumbers


@dataclass(frozen=True, kw_only=True)
class CheckedBatch:
    """Customers that passed every check, as arrays of shape (rows,).

    ``columns`` has, by feature in the order of the contract, int8 category codes or float64 numbers. Blanks are filled,
    but for those that count as a median, which are NaN. ``ids`` is an Arrow string array without nulls, or ``None``
    when the file has no key; ``ids_missing`` marks those that stand for no id, such as a blank or NULL. ``done`` is the
    share of the source that is read, up to here. ``part`` is the name of the part that they come from, empty for a
    source in one file.
    """

    columns: dict[str, npt.NDArray[np.int8] | values.Numbers]
    ids: pa.Array | None
    ids_missing: values.Mask | None
    churned: npt.NDArray[np.int8] | None
    done: float
    part: str

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values())))

    def features(self, medians: Mapping[str, float]) -> Features:
        """The model's input, as :class:`app.coding.Coder` makes it with the same medians."""
        coded = np.empty((self.rows, len(self.columns)), dtype=np.float32)
        for position, (name, column) in enumerate(self.columns.items()):
            coded[:, position] = np.where(np.isnan(column), medians[name], column) if name in medians else column
        return coded


class _Check:
    """Checks the batches of one file."""

    def __init__(self, contract: Contract, findings: Findings, *, labelled: bool, days: DayColumn | None) -> None:
        self._contract = contract
        self._findings = findings
        self._labelled = labelled
        self._days = days
        missing = contract.reading.missing
        self._values = [(feature, values.Values(feature, missing, findings)) for feature in contract.features]
        self._ids = identities.IdCheck(contract.key, findings)

    def columns(self, names: Names, fields: Sequence[pa.Field]) -> dict[str, str]:
        """Map each column that can be read to its name in the file; all others become violations."""
        contract = self._contract
        required = {feature.name: feature.expected for feature in contract.features}
        if self._labelled:
            required[contract.label.name] = values.label_expected(contract.label)
        if self._days is not None:
            required[self._days.name] = EXPECTED
        expected = required | {contract.key.name: identities.expected(contract.key)}
        kinds = {field.name: field.type for field in fields}
        readable: dict[str, str] = {}
        for name, theirs in names.columns_of([field.name for field in fields], required, self._findings).items():
            if name not in expected:
                continue
            if _can_hold(contract, name, kinds[theirs]):
                readable[name] = theirs
            else:
                self._findings.add_column(
                    name,
                    f"a column of type {kinds[theirs]}",
                    expected[name],
                    cause=causes.COLUMN_TYPE,
                    hint=_type_hint(contract, name, kinds[theirs]),
                )
        return readable

    def batch(self, batch: Mapping[str, pa.Array], rows: RowNumbers, done: float) -> CheckedBatch | None:
        """Check one batch; returns ``None`` if a column is missing or has a type that cannot hold its values."""
        contract, findings = self._contract, self._findings
        read: dict[str, values.Read] = {}
        for feature, reader in self._values:
            column = batch.get(feature.name)
            if column is None:
                continue
            read[feature.name] = one = reader.read(column)
            if one.wrong.any():
                judge = partial(category_causes if feature.is_category else number_causes, feature)
                wrong = column.filter(pa.array(one.wrong))
                findings.add_cells(feature.name, feature.expected, rows[one.wrong], wrong, judge)
        key, label = contract.key.name, contract.label
        ids = self._ids.check(batch[key], rows) if key in batch else None
        churned = values.labels(label, batch.get(label.name), rows, findings) if self._labelled else None
        if self._days is not None and self._days.name in batch:
            self._days.add(batch[self._days.name], rows)
        if len(read) < len(contract.features):
            return None
        return CheckedBatch(
            columns=_filled(contract, read),
            ids=ids.texts if ids else None,
            ids_missing=ids.missing if ids else None,
            churned=churned,
            done=done,
            part=findings.part,
        )


def checked_batches(
    path: Path | Parts,
    contract: Contract,
    findings: Findings,
    *,
    labelled: bool,
    batch_rows: int = 65_536,
    reading: Reading | None = None,
    days: DayColumn | None = None,
) -> Iterator[CheckedBatch]:
    """Read a table in batches and check every value of every row.

    Violations go into ``findings``. After the first one no batch is yielded, but the file is checked to its end. Notes
    about what was read differently from how it is written go there too; they are complete after the last batch.

    Args:
        path: a local file, or the parts of a table.
        contract: what the customers look like.
        findings: receives every violation.
        labelled: whether the label is required and checked; if not, it is ignored.
        batch_rows: rows per batch of a Parquet file (a CSV file comes in blocks of bytes).
        reading: how the file is written, where that is not to be found out or differs from the contract.
        days: receives the column ``as_of``, which is required then; if None, it is ignored.

    Raises:
        DataError: the file is not a readable table at all.
    """
    names = Names(contract, dated=days is not None)
    with open_table(path, findings, names, reading) as table:
        check = _Check(contract, findings, labelled=labelled, days=days)
        columns = check.columns(names, table.fields)
        rows_seen = 0
        for rows, batch in table.batches(columns, batch_rows) if columns else ():
            rows_seen += len(rows)
            checked = check.batch(batch, rows, table.done)
            if checked is not None and not findings:
                yield checked
        findings.place(table.lines(findings.rows_shown()))
    if not rows_seen and not findings:
        findings.add_column(FILE, "no data row", "at least one customer")


def _can_hold(contract: Contract, name: str, kind: pa.DataType) -> bool:
    """Whether a column of this Arrow type can hold the values of one of the contract's columns."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if is_text(kind) or pa.types.is_null(kind):
        return True
    number = bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
    if name == contract.key.name:
        return number
    if name == contract.as_of:
        return can_hold_days(kind)
    feature = contract.by_name.get(name)
    boolean = bool(pa.types.is_boolean(kind))
    if feature is None or feature.type == "boolean":
        return number or boolean
    if feature.is_category:
        return values.spelt_as_booleans(feature) if boolean else bool(pa.types.is_integer(kind) and _digits(feature))
    return number


def _digits(feature: Feature) -> bool:
    """Whether some category is written as a whole number."""
    return any(text.isdecimal() for text in (*feature.categories, *feature.spellings))


def _type_hint(contract: Contract, name: str, kind: pa.DataType) -> str:
    """The remedy for a column whose type cannot hold its values, if there is a simple one."""
    boolean = pa.types.is_boolean(kind)
    feature = contract.by_name.get(name)
    if feature and feature.is_category and (boolean or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return "write the categories as text, exactly as documented"
    return "write 1 for true and 0 for false" if boolean else ""


def _filled(contract: Contract, read: Mapping[str, values.Read]) -> dict[str, npt.NDArray[np.int8] | values.Numbers]:
    """The values of each feature, with what its blanks count as."""
    columns = {name: one.values for name, one in read.items()}
    numbers = {f.name: columns[f.name].astype(np.float64, copy=False) for f in contract.features if not f.is_category}
    for feature in contract.features:
        blank = read[feature.name].blank
        if feature.nullable and blank.any():
            filled = np.where(blank, assumed(feature, numbers, {}), columns[feature.name])
            columns[feature.name] = filled.astype(np.int8) if feature.is_category else filled
    return columns
