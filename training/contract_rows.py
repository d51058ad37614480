"""Made-up customers of any contract: valid rows, whose label follows from their features so that models can learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from app.contract import Contract
from app.feature import Feature
from training.files import check_output
from training.generate import customer_ids
from training.outputs import delivered, is_csv

CHUNK: Final = 50_000
_CHURN_RATE: Final = 0.25
_STRENGTH: Final = 1.6
"""Standard deviation of the logit: the best AUC is then about 0.83."""
_FIRST_DAY: Final = date(2025, 1, 1)
_DAYS: Final = 365
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_FINE: Final = 100
"""A range at least this wide has numbers with two decimals."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RowsConfig:
    """What to generate.

    Attributes:
        rows: customers.
        seed: the same contract, rows and seed give the same bytes (Parquet: with the same release of pyarrow).
        blank_share: share of blanks in each feature that may be blank.
    """

    rows: int
    seed: int = 7
    blank_share: float = 0.05


def write(
    contract: Contract,
    config: RowsConfig,
    out: str,
    *,
    overwrite: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> int:
    """Write customers to a CSV or Parquet file, completely or not at all; returns how many of them churned.

    Args:
        contract: of the customers.
        config: how many, and what they have.
        out: ``.csv`` or ``.parquet``, a path or ``s3://bucket/key``.
        overwrite: whether an existing file may be replaced.
        on_progress: called after each part with the number of rows so far.

    Raises:
        PathError: another extension, the file exists, or it cannot be written.
    """
    check_output(out, overwrite=overwrite)
    done = churned = 0
    with delivered(out, overwrite=overwrite) as path:
        first = _batch(contract, RowsConfig(rows=1), 0, 1)
        writer = (
            pa_csv.CSVWriter(path, first.schema, write_options=_quotes(contract))
            if is_csv(out)
            else pq.ParquetWriter(path, first.schema, compression="zstd", store_schema=False)
        )
        with writer:
            for batch in batches(contract, config):
                writer.write_batch(batch)
                done += batch.num_rows
                churned += int(np.sum(batch[contract.label.name].to_numpy()))
                if on_progress is not None:
                    on_progress(done)
    return churned


def _quotes(contract: Contract) -> pa_csv.WriteOptions:
    """Quotes where a category or a column's name has a comma, and nowhere else: no other text needs them."""
    texts = [contract.as_of or "", *(c for feature in contract.features for c in feature.categories)]
    style: Literal["needed", "none"] = "needed" if any("," in text for text in texts) else "none"
    return pa_csv.WriteOptions(quoting_style=style, quoting_header=style)


def batches(contract: Contract, config: RowsConfig) -> Iterator[pa.RecordBatch]:
    """Generate customers in parts of at most :data:`CHUNK` rows.

    The columns are the key, ``as_of`` if the contract has one, the features in their order, and the label.
    """
    for first in range(0, config.rows, CHUNK):
        yield _batch(contract, config, first, min(CHUNK, config.rows - first))


def _batch(contract: Contract, config: RowsConfig, first: int, rows: int) -> pa.RecordBatch:
    rng = np.random.default_rng([config.seed, first])
    columns: dict[str, pa.Array] = {contract.key.name: pa.array(_keys(contract, first, rows))}
    if contract.as_of is not None:
        days = rng.integers(0, _DAYS, rows)
        columns[contract.as_of] = pa.array([(_FIRST_DAY + timedelta(days=int(day))).isoformat() for day in days])
    # The weights are those of the contract, alike for each part and each seed: files of two seeds can be compared.
    weights = np.random.default_rng(len(contract.features)).normal(size=len(contract.features))
    logit = np.zeros(rows)
    for feature, weight in zip(contract.features, weights, strict=True):
        columns[feature.name], effect = _column(feature, contract.example.get(feature.name), rows, rng)
        if feature.nullable:
            blank = rng.random(rows) < config.blank_share
            columns[feature.name] = _blanked(columns[feature.name], blank)
        logit += weight * effect
    probability = 1 / (1 + np.exp(-(logit * _STRENGTH / np.linalg.norm(weights) + _intercept())))
    columns[contract.label.name] = pa.array((rng.random(rows) < probability).astype(np.int8))
    return pa.record_batch(columns)


def _intercept() -> float:
    # A logit that spreads by _STRENGTH is flattened on average by this factor (MacKay's approximation).
    return float(np.log(_CHURN_RATE / (1 - _CHURN_RATE)) * np.sqrt(1 + np.pi * _STRENGTH**2 / 8))


def _keys(contract: Contract, first: int, rows: int) -> list[str]:
    """Keys of letters and digits, which every contract allows; those of a short key count in base 36."""
    width = min(contract.key.max_length - 1, 8)
    if width == 8:  # noqa: PLR2004 - the usual C00000001
        return customer_ids(first, rows)
    return [_short(number % 36 ** (width + 1), width + 1) for number in range(first, first + rows)]


def _short(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits


def _column(feature: Feature, typical: object, rows: int, rng: np.random.Generator) -> tuple[pa.Array, Numbers]:
    """Values of a feature, and the effect of each on the logit: mean 0 and standard deviation about 1."""
    if feature.is_category:
        count = len(feature.categories)
        shares = 1 / np.arange(2, count + 2)
        codes = rng.choice(count, rows, p=shares / shares.sum())
        values = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int8)), pa.array(feature.categories))
        # The effect rises and falls over the categories, so that their order alone does not tell it.
        return values.dictionary_decode(), np.where(codes % 2 == 0, -0.8, 1.2) + 0.2 * (codes % 3 - 1)
    if feature.type == "boolean":
        values = rng.random(rows) < 0.5  # noqa: PLR2004 - as often true as false
        return pa.array(values), np.where(values, 1.0, -1.0)
    share = _shares(feature, typical, rows, rng)
    low, high = feature.lowest, feature.highest
    numbers = low + share * (high - low)
    if feature.integer:
        numbers = np.clip(np.round(numbers), np.ceil(low), np.floor(high))
        return pa.array(numbers.astype(np.int64)), _standardised(share)
    if high - low >= _FINE:
        numbers = np.round(numbers, 2)
    return pa.array(np.clip(numbers, low, high)), _standardised(share)


def _shares(feature: Feature, typical: object, rows: int, rng: np.random.Generator) -> Numbers:
    """Where between its bounds each value lies; the example's value is the mean, since bounds are often far apart."""
    usual = typical if isinstance(typical, int | float) else (feature.lowest + feature.highest) / 2
    width = feature.highest - feature.lowest
    # Whole numbers need a mean that is not on a bound, or all of them would be rounded to it.
    margin = min(0.4, 0.8 / width) if feature.integer else 1e-6
    mean = float(np.clip((usual - feature.lowest) / width, margin, 1 - margin))
    # A beta distribution with this mean whose smaller parameter is 2: one hump near the mean, at any distance.
    total = 2 / min(mean, 1 - mean)
    return rng.beta(mean * total, (1 - mean) * total, rows)


def _standardised(share: Numbers) -> Numbers:
    spread = float(share.std())
    return (share - share.mean()) / spread if spread else share * 0


def _blanked(column: pa.Array, blank: npt.NDArray[np.bool_]) -> pa.Array:
    return pc.if_else(pa.array(blank), pa.scalar(None, column.type), column)
