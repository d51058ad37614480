"""Synthetic customers as a frame or a file, with their truth; :mod:`training.population` draws them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from app.feature import Feature
from app.schemas import telco
from training.data import category
from training.files import check_output, file_sha256
from training.outputs import delivered, is_csv
from training.population import Chunk, chunks, coefficients
from training.truth import GeneratorConfig, Probabilities, Truth, ceiling, stored, truth_path

__all__ = ["Generated", "GeneratorConfig", "generate", "write"]

_CENTS: Final = pa.decimal128(9, 2)
_FIBRE: Final = telco().by_name["internet_service"].codes["Fiber optic"]


@dataclass(frozen=True, kw_only=True)
class Generated:
    """Generated customers in memory.

    ``customers`` has customer_id, the 19 features (categories as pandas categories; a blank total is NaN) and
    churned; ``probability`` is the true probability of churn of each row.
    """

    customers: pd.DataFrame
    probability: Probabilities
    truth: Truth


def generate(config: GeneratorConfig) -> Generated:
    """Generate customers in memory, about 100 bytes each; :func:`write` creates a file of any size."""
    tally = _Tally(config)
    frames = []
    for chunk in chunks(config):
        tally.add(chunk)
        columns: dict[str, object] = {telco().key.name: customer_ids(chunk.first, len(chunk.probability))}
        for feature in telco().features:
            name = feature.name
            columns[name] = category(feature, chunk.codes[name]) if feature.categories else chunk.numbers[name]
        frames.append(pd.DataFrame(columns | {telco().label.name: chunk.recorded}))
    return Generated(
        customers=pd.concat(frames, ignore_index=True), probability=tally.probability(), truth=tally.truth()
    )


def write(
    config: GeneratorConfig,
    out: Path | str,
    *,
    overwrite: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> Truth:
    """Generate customers into a file, with the truth beside it as ``<stem>.truth.json``.

    The same configuration gives the same bytes (Parquet: with the same release of pyarrow, whose name it carries).
    Memory is that of one chunk and 8 bytes a row. Each file is written completely or not at all. A CSV and a Parquet
    file of one stem would share the truth's name: give them different ones.

    Args:
        config: what to generate.
        out: ``.csv`` or ``.parquet``, a path whose folder is created if missing, or ``s3://bucket/key``.
        overwrite: whether an existing file, or a truth beside it, may be replaced.
        on_progress: called after each chunk with the number of customers so far.

    Raises:
        PathError: another extension, one of the files exists, or it cannot be written.
    """
    out, truth_out = str(out), _beside(str(out))
    check_output(out, overwrite=overwrite)
    check_output(truth_out, overwrite=overwrite, extensions=[".json"])
    tally = _Tally(config)
    with delivered(out, overwrite=overwrite) as data:
        with _writer(data, csv=is_csv(out)) as append:
            for chunk in chunks(config):
                tally.add(chunk)
                append(_batch(chunk))
                if on_progress is not None:
                    on_progress(chunk.first + len(chunk.probability))
        truth = tally.truth(file_sha256(data))
        # Before the data is put in place: if this fails, neither file is replaced.
        with delivered(truth_out, overwrite=overwrite) as beside:
            beside.write_text(truth.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return truth


def _beside(out: str) -> str:
    """Path of the truth of an output."""
    folder, _, name = out.rpartition("/")
    return f"{folder}/{truth_path(Path(name))}" if folder else str(truth_path(Path(out)))


def customer_ids(first: int, rows: int) -> list[str]:
    """Identifiers of ``rows`` customers from position ``first`` on; C00000001 is the first of all."""
    return [f"C{number:08d}" for number in range(first + 1, first + rows + 1)]


class _Tally:
    """Collects the truth of a run from its chunks."""

    def __init__(self, config: GeneratorConfig) -> None:
        self._config = config
        self._probabilities: list[Probabilities] = []
        self._fibre = self._blank = self._churned = self._recorded = 0

    def add(self, chunk: Chunk) -> None:
        self._probabilities.append(chunk.probability)
        self._fibre += int((chunk.codes["internet_service"] == _FIBRE).sum())
        self._blank += int(np.isnan(chunk.numbers["total_charges"]).sum())
        self._churned += int(chunk.churned.sum())
        self._recorded += int(chunk.recorded.sum())

    def probability(self) -> Probabilities:
        return np.concatenate(self._probabilities)

    def truth(self, data_sha256: str | None = None) -> Truth:
        rows, p = self._config.rows, self.probability()
        outcome = ceiling(p)
        delay = self._config.label_delay_share
        return Truth(
            config=self._config,
            coefficients=coefficients(self._config),
            data_sha256=data_sha256,
            rows=rows,
            fibre_share=self._fibre / rows,
            blank_totals=self._blank,
            mean_probability=stored(p.mean()),
            churn_rate=self._churned / rows,
            recorded_churn_rate=self._recorded / rows,
            hidden_churners=self._churned - self._recorded,
            # Everybody who churned is recorded with the same chance, so a recorded label is 1 with probability p (1 -
            # delay).
            ceiling=ceiling(p * (1 - delay)) if delay else outcome,
            outcome_ceiling=outcome,
        )


def _batch(chunk: Chunk) -> pa.RecordBatch:
    columns = {telco().key.name: pa.array(customer_ids(chunk.first, len(chunk.probability)))}
    for feature in telco().features:
        columns[feature.name] = _column(feature, chunk)
    return pa.record_batch(columns | {telco().label.name: pa.array(chunk.recorded)})


def _column(feature: Feature, chunk: Chunk) -> pa.Array:
    if feature.categories:
        return pa.DictionaryArray.from_arrays(pa.array(chunk.codes[feature.name]), pa.array(feature.categories))
    numbers = chunk.numbers[feature.name]
    if feature.integer:
        return pa.array(numbers.astype(np.int16))
    return pa.array(numbers, mask=np.isnan(numbers))


@contextmanager
def _writer(path: Path, *, csv: bool) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """Append batches to one file."""
    schema = _batch(next(chunks(GeneratorConfig(rows=1)))).schema
    if csv:
        # Decimals always print with two places.
        fixed = pa.schema([f.with_type(_CENTS) if pa.types.is_float64(f.type) else f for f in schema])
        options = pa_csv.WriteOptions(quoting_style="none", quoting_header="none")
        with pa_csv.CSVWriter(path, fixed, write_options=options) as writer:
            yield lambda batch: writer.write_batch(batch.cast(fixed))
    else:
        # No Arrow schema inside: any reader sees plain strings and numbers.
        with pq.ParquetWriter(path, schema, compression="zstd", compression_level=3, store_schema=False) as writer:
            yield writer.write_batch
