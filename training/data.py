"""Customers for training: loaded from a file, every row checked, ready to be coded for a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from app.contract import Reading
from app.schemas import FEATURES, ID_COLUMN, LABEL_COLUMN, Feature, Features, blank_total
from training.identities import repeated, with_unique_missing
from training.sources import fetched, file_sha256, read_truth
from training.truth import Truth
from training.validate import CheckedBatch, checked_batches
from training.violations import DataError, Findings, Violation

__all__ = ["DataError", "Dataset", "Violation", "category", "encode_frame", "load"]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Validated customers.

    Attributes:
        customers: exactly the 19 features in order: categories as pandas categories in the schema's order, numbers as
            float64, blank totals filled by :func:`app.schemas.blank_total`.
        ids: customer_id of each row (may repeat), or ``None`` when the file has none. A row without an id has a text of
            its own that cannot be an id, so that it counts as one more customer.
        churned: 0 or 1 for each row, or ``None`` when loaded without labels.
        source: as given to :func:`load`.
        sha256: of the file's bytes.
        truth: what is known about generated data, or ``None``.
        notes: sentences about what was read differently from how it is written, and what looks odd.
    """

    customers: pd.DataFrame
    ids: pd.Series[str] | None
    churned: npt.NDArray[np.int8] | None
    source: str
    sha256: str
    truth: Truth | None
    notes: tuple[str, ...] = ()


def load(source: str, *, labelled: bool = True, reading: Reading | None = None) -> Dataset:
    """Load and check customers.

    IBM's own column names are understood, so the public Telco file loads as it is.

    Args:
        source: CSV, Excel or Parquet, a local path or ``s3://bucket/key``; a folder, a pattern or a prefix in S3 that
            ends in ``/`` is a table in parts.
        labelled: whether ``churned`` is required; if not, it is ignored.
        reading: how the file is written, where that is not to be found out or differs from the contract.

    Raises:
        DataError: the file cannot be read, or has violations; all of them are in the message.
    """
    findings = Findings()
    try:
        with fetched(source) as path:
            batches = list(checked_batches(path, findings, labelled=labelled, reading=reading))
            sha256 = file_sha256(path)
            truth = read_truth(path, sha256, source)
    except DataError as error:
        # The reader only knows the local copy.
        raise DataError(source, error.violations) from error
    churned = np.concatenate([b.churned for b in batches if b.churned is not None]) if labelled and batches else None
    if churned is not None and not findings and len(np.unique(churned)) == 1:
        findings.add_column(
            LABEL_COLUMN, f"every row is {churned[0]}", "customers who churned and customers who stayed"
        )
    findings.raise_if_any(source)
    customers, ids = _frame(batches), _ids(batches)
    if ids is not None and (note := repeated(ids, customers)):
        findings.changes.add_sentence(note)
    return Dataset(
        customers=customers,
        ids=ids,
        churned=churned,
        source=source,
        sha256=sha256,
        truth=truth,
        notes=findings.notes,
    )


def encode_frame(frame: pd.DataFrame) -> Features:
    """Code customers for a model: :func:`app.schemas.encode` for a whole frame.

    Args:
        frame: the 19 features as in :attr:`Dataset.customers`; other columns are ignored, a blank total may be NaN.

    Returns:
        float32 array of shape (len(frame), 19), C-contiguous.

    Raises:
        ValueError: a category column without the schema's categories, or with a blank.
    """
    coded = np.empty((len(frame), len(FEATURES)), dtype=np.float32)
    for position, feature in enumerate(FEATURES):
        column = frame[feature.name]
        if feature.categories:
            if not isinstance(column.dtype, pd.CategoricalDtype) or tuple(column.cat.categories) != feature.categories:
                raise ValueError(f"{feature.name}: not a category column of {', '.join(feature.categories)}")
            codes = column.cat.codes.to_numpy()
            if (codes < 0).any():
                raise ValueError(f"{feature.name}: blank; expected {feature.expected}")
            coded[:, position] = codes
        else:
            numbers = column.to_numpy(dtype=np.float64)
            if feature.nullable:
                tenure, monthly = (frame[n].to_numpy(dtype=np.float64) for n in ("tenure_months", "monthly_charges"))
                numbers = np.where(np.isnan(numbers), blank_total(tenure, monthly), numbers)  # type: ignore[arg-type]  # elementwise
            coded[:, position] = numbers
    return coded


def category(feature: Feature, codes: npt.NDArray[np.int8]) -> pd.Categorical[str]:
    """A feature as a pandas category, made from its codes."""
    return pd.Categorical.from_codes(codes, categories=pd.Index(feature.categories))


def _frame(batches: list[CheckedBatch]) -> pd.DataFrame:
    columns: dict[str, object] = {}
    for feature in FEATURES:
        values = np.concatenate([batch.columns[feature.name] for batch in batches])
        columns[feature.name] = category(feature, values.astype(np.int8)) if feature.categories else values
    return pd.DataFrame(columns)


def _ids(batches: list[CheckedBatch]) -> pd.Series[str] | None:
    """The id of each row, a missing one replaced by a text of its own; ``None`` when the file has no ids."""
    parts = [(b.ids, b.ids_missing) for b in batches if b.ids is not None and b.ids_missing is not None]
    if not parts:
        return None
    ids = pa.chunked_array([texts for texts, _ in parts]).to_pandas().rename(ID_COLUMN)
    return with_unique_missing(ids, np.concatenate([missing for _, missing in parts]))
