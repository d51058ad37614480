"""The duplicates gate: rows repeated on both sides of the split test a model on the data that it was fitted on."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from app.bundle import GateResult
from app.contract import Features
from training.config import GateLimits
from training.pipeline import Labels, Split

Content: TypeAlias = npt.NDArray[np.uint64]
"""A hash of each row's features, shape (rows,): equal for rows whose features are equal."""

_WARN_SHARE: Final = 0.02
_TWINS_MIN: Final = 20
"""With fewer twins, nothing can be said about whether twins share their label."""


def content(features: Features) -> Content:
    """Hash the coded features of each row."""
    return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(features), index=False), dtype=np.uint64)


def groups(ids: pd.Series[str] | None, rows: Content) -> pd.Series[str]:
    """Group the rows that must stay on one side of a split: by customer, or by equal content for rows without an id."""
    contents = pd.Series(rows.astype(str))
    return contents if ids is None else ids.where(ids.notna(), contents)


def repeated(rows: Content) -> int:
    """Count the rows that only repeat an earlier one."""
    return len(rows) - len(np.unique(rows))


def warnings(rows: Content) -> list[str]:
    """Describe repeated rows in a sentence, if there are more than a few."""
    copies = repeated(rows)
    if copies <= _WARN_SHARE * len(rows):
        return []
    return [f"{copies:,} of {len(rows):,} rows are exact duplicates in their features: was the same data added twice?"]


def gate(rows: Content, churned: Labels, split: Split, *, with_ids: bool, limits: GateLimits) -> GateResult:
    """Check that the holdout does not consist of copies.

    Customers may be alike, but then their labels differ as those of other customers do. Held-out rows are copies of
    training rows if nearly all of them share the label of their twins.

    Args:
        split: without a training part, which is not known for every model from elsewhere, the gate cannot decide.
        with_ids: whether the file has customer ids, so that copies under other ids are not grouped.
    """
    copies = repeated(rows)
    if not len(split.train):
        detail = (
            f"{copies:,} of {len(rows):,} rows repeat the features of an earlier one; whether the model was trained "
            "with these customers cannot be checked: the training rows are not known (--train-data names them)"
        )
        return GateResult(name="duplicates", passed=True, detail=detail)
    twin, agree = _twins(rows, churned, split)
    share = float(twin.mean())
    agreement = float(agree[twin].mean()) if twin.any() else 0.0
    many = share > limits.duplicate_share_max and int(twin.sum()) >= _TWINS_MIN
    refused = many and agreement > limits.duplicate_agreement_max
    detail = f"{copies:,} of {len(rows):,} rows repeat the features of an earlier one"
    if not with_ids and copies:
        detail += "; without customer ids, rows with equal features are kept on one side of the split"
    detail += (
        f"; {share:.1%} of the held-out rows have a twin in the training part (limit {limits.duplicate_share_max:.0%})"
    )
    if refused:
        detail += (
            f", and {agreement:.1%} of these have its label: they are copies under other ids, so every figure is too "
            "good. Remove the copies, or drop the column with the ids so that the split goes by content"
        )
    return GateResult(
        name="duplicates", passed=not refused, detail=detail, value=share, limit=limits.duplicate_share_max
    )


def _twins(rows: Content, churned: Labels, split: Split) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """For each held-out row: whether the training part has the same features, and whether with the same label."""
    known = pd.Series(churned[split.train].astype(np.float64)).groupby(rows[split.train]).mean()
    label = known.reindex(rows[split.test]).to_numpy()
    twin = ~np.isnan(label)
    return twin, twin & (np.abs(label - churned[split.test]) < 0.5)  # noqa: PLR2004  # the nearer of two classes
