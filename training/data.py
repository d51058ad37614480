"""Customers for training: loaded from a file, every row checked, ready to be coded for a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from app.contract import Contract, Features, Reading
from app.feature import Feature
from app.schemas import telco
from training.days import DayColumn, Days
from training.filling import assumed, numbers_of
from training.identities import repeated, with_unique_missing
from training.sources import fetched, read_truth, source_sha256
from training.truth import Truth
from training.validate import CheckedBatch, checked_batches
from training.violations import DataError, Findings, Violation

__all__ = ["DataError", "Dataset", "Violation", "category", "encode_frame", "load"]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Validated customers.

    Attributes:
        contract: what these customers look like.
        customers: exactly the contract's features in order: categories as pandas categories in the contract's order,
            numbers as float64, booleans as 0 and 1. Blanks are filled, but for those that count as the median of the
            training rows: they are NaN until the rows are split.
        ids: key of each row (may repeat), or ``None`` when the file has none. A row without a key has a text of its
            own that cannot be a key, so that it counts as one more customer.
        churned: 0 or 1 for each row, or ``None`` when loaded without labels.
        source: as given to :func:`load`.
        sha256: of the file's bytes.
        truth: what is known about generated data, or ``None``.
        days: of each row, when it was known (``datetime64[D]``), or ``None`` when loaded without.
        notes: sentences about what was read differently from how it is written, and what looks odd.
    """

    contract: Contract
    customers: pd.DataFrame
    ids: pd.Series[str] | None
    churned: npt.NDArray[np.int8] | None
    source: str
    sha256: str
    truth: Truth | None
    days: Days | None = None
    notes: tuple[str, ...] = ()


def load(
    source: str,
    contract: Contract | None = None,
    *,
    labelled: bool = True,
    reading: Reading | None = None,
    dated: bool = False,
) -> Dataset:
    """Load and check customers.

    The other names of a contract's columns are understood, so the public Telco file loads as it is.

    Args:
        source: CSV, Excel or Parquet, a local path or ``s3://bucket/key``; a folder, a pattern or a prefix in S3 that
            ends in ``/`` is a table in parts.
        contract: what the customers look like; by default those of :func:`app.schemas.telco`.
        labelled: whether the label is required; if not, it is ignored.
        reading: how the file is written, where that is not to be found out or differs from the contract.
        dated: whether the column of the contract's ``as_of`` is required and read; if not, it is ignored.

    Raises:
        DataError: the file cannot be read, or has violations; all of them are in the message.
    """
    contract = contract or telco()
    findings = Findings(contract)
    column = DayColumn(contract.as_of or "", findings) if dated else None
    try:
        with fetched(source) as path:
            batches = list(checked_batches(path, contract, findings, labelled=labelled, reading=reading, days=column))
            sha256 = source_sha256(path)
            truth = read_truth(path, sha256, source)
    except DataError as error:
        # The reader only knows the local copy.
        raise DataError(source, error.violations) from error
    churned = np.concatenate([b.churned for b in batches if b.churned is not None]) if labelled and batches else None
    if churned is not None and not findings and len(np.unique(churned)) == 1:
        findings.add_column(
            contract.label.name, f"every row is {churned[0]}", "customers who churned and customers who stayed"
        )
    days = column.days() if column is not None else None
    findings.raise_if_any(source)
    customers, ids = _frame(contract, batches), _ids(contract, batches)
    if ids is not None and (note := repeated(ids, customers, together=not dated)):
        findings.changes.add_sentence(note)
    return Dataset(
        contract=contract,
        customers=customers,
        ids=ids,
        churned=churned,
        source=source,
        sha256=sha256,
        truth=truth,
        days=days,
        notes=findings.notes,
    )


def encode_frame(contract: Contract, frame: pd.DataFrame, medians: Mapping[str, float]) -> Features:
    """Code customers for a model: :class:`app.coding.Coder` for a whole frame.

    Args:
        contract: what the customers look like.
        frame: its features as in :attr:`Dataset.customers`; other columns are ignored, a blank number may be NaN.
        medians: of the training rows, of each feature whose blanks count as one.

    Returns:
        float32 array of shape (len(frame), features), C-contiguous.

    Raises:
        ValueError: a category column without the contract's categories, or a blank that the contract does not allow.
    """
    coded = np.empty((len(frame), len(contract.features)), dtype=np.float32)
    numbers = numbers_of(contract, frame)
    for position, feature in enumerate(contract.features):
        values = _category_codes(feature, frame[feature.name]) if feature.is_category else numbers[feature.name]
        blank = np.isnan(values)
        if blank.any():
            if not feature.nullable:
                raise ValueError(f"{feature.name}: blank; expected {feature.expected}")
            values = np.where(blank, assumed(feature, numbers, medians), values)
        coded[:, position] = values
    return coded


def _category_codes(feature: Feature, column: pd.Series) -> npt.NDArray[np.float64]:
    """Code of each category; a blank's is NaN."""
    if not isinstance(column.dtype, pd.CategoricalDtype) or tuple(column.cat.categories) != feature.categories:
        raise ValueError(f"{feature.name}: not a category column of {', '.join(feature.categories)}")
    codes = column.cat.codes.to_numpy()
    return np.where(codes < 0, np.nan, codes.astype(np.float64))


def category(feature: Feature, codes: npt.NDArray[np.int8]) -> pd.Categorical[str]:
    """A feature as a pandas category, made from its codes."""
    return pd.Categorical.from_codes(codes, categories=pd.Index(feature.categories))


def filled_medians(customers: pd.DataFrame, medians: Mapping[str, float]) -> pd.DataFrame:
    """The same customers with the median of each of these features where it is blank."""
    return customers.fillna(dict(medians)) if medians else customers


def _frame(contract: Contract, batches: list[CheckedBatch]) -> pd.DataFrame:
    columns: dict[str, object] = {}
    for feature in contract.features:
        values = np.concatenate([batch.columns[feature.name] for batch in batches])
        columns[feature.name] = category(feature, values.astype(np.int8)) if feature.categories else values
    return pd.DataFrame(columns)


def _ids(contract: Contract, batches: list[CheckedBatch]) -> pd.Series[str] | None:
    """The id of each row, a missing one replaced by a text of its own; ``None`` when the file has no ids."""
    parts = [(b.ids, b.ids_missing) for b in batches if b.ids is not None and b.ids_missing is not None]
    if not parts:
        return None
    ids = pa.chunked_array([texts for texts, _ in parts]).to_pandas().rename(contract.key.name)
    return with_unique_missing(ids, np.concatenate([missing for _, missing in parts]))
