"""Scoring of a whole file with a servable bundle, as a stream: memory does not depend on the number of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from app.model import DECISIONS, RISK_BANDS, Scores, load
from app.schemas import ID_COLUMN
from training.outputs import is_csv, replaced
from training.sources import fetched
from training.validate import CheckedBatch, checked_batches
from training.violations import DataError, Findings

BATCH_ROWS: Final = 65_536

_PROBABILITY: Final = pa.field("churn_probability", pa.float64(), nullable=False)
_DECISION: Final = pa.field("decision", pa.dictionary(pa.int8(), pa.string()), nullable=False)
_RISK_BAND: Final = pa.field("risk_band", pa.dictionary(pa.int8(), pa.string()), nullable=False)


@dataclass(frozen=True, kw_only=True)
class ScoreSummary:
    """What was scored: rows, rows by decision and by risk band, the mean probability, and the model's own words."""

    out: Path
    rows: int
    decisions: dict[str, int]
    risk_bands: dict[str, int]
    mean_probability: float
    model_name: str
    run_id: str
    threshold: float


def score(
    model_dir: Path,
    source: str,
    out: Path,
    *,
    manifest_sha256: str | None = None,
    batch_rows: int = BATCH_ROWS,
) -> ScoreSummary:
    """Score every customer of a file.

    ``out`` gets, in the order of the source, customer_id (when the source has it), churn_probability, decision
    ("churn" from the manifest's threshold on, else "stay") and risk_band ("low", "medium", "high").

    Args:
        model_dir: a bundle (:mod:`app.bundle`), verified as for serving.
        source: CSV or Parquet file, local or ``s3://``; a ``churned`` column is ignored.
        out: ``.csv`` or ``.parquet``; replaced only when every row of the source is valid.
        manifest_sha256: the registered digest of the manifest, when it is known.
        batch_rows: rows scored at once from a Parquet file.

    Raises:
        DataError: the source with every violation in it, or an ``out`` that is neither format.
        BundleError: the model must not be used, see :func:`app.model.load`.
    """
    csv = is_csv(out)
    model = load(model_dir, manifest_sha256=manifest_sha256)
    manifest = model.manifest
    bands = (manifest.risk_bands.medium, manifest.risk_bands.high)
    decisions = np.zeros(len(DECISIONS), dtype=np.int64)
    risk_bands = np.zeros(len(RISK_BANDS), dtype=np.int64)
    total = 0.0
    findings = Findings()
    try:
        with fetched(source) as path, replaced(out) as temporary:
            batches = checked_batches(path, findings, labelled=False, batch_rows=batch_rows)
            with _writer(temporary, csv=csv) as append:
                for batch in batches:
                    probability = model.score(batch.features())
                    # As app.model decides for one customer.
                    decision = (probability >= manifest.threshold).astype(np.int8)
                    risk = np.digitize(probability, bands).astype(np.int8)
                    decisions += np.bincount(decision, minlength=len(DECISIONS))
                    risk_bands += np.bincount(risk, minlength=len(RISK_BANDS))
                    total += float(probability.sum())
                    append(_answers(batch, probability, decision, risk))
            findings.raise_if_any(source)
    except DataError as error:
        # The reader knows the local copy only.
        raise DataError(source, error.violations) from error
    rows = int(decisions.sum())
    return ScoreSummary(
        out=out,
        rows=rows,
        decisions=dict(zip(DECISIONS, decisions.tolist(), strict=True)),
        risk_bands=dict(zip(RISK_BANDS, risk_bands.tolist(), strict=True)),
        mean_probability=total / rows,
        model_name=manifest.model_name,
        run_id=manifest.run_id,
        threshold=manifest.threshold,
    )


def _answers(
    batch: CheckedBatch,
    probability: Scores,
    decision: npt.NDArray[np.int8],
    risk: npt.NDArray[np.int8],
) -> pa.RecordBatch:
    columns = [
        pa.array(probability),
        pa.DictionaryArray.from_arrays(decision, list(DECISIONS)),
        pa.DictionaryArray.from_arrays(risk, list(RISK_BANDS)),
    ]
    fields = [_PROBABILITY, _DECISION, _RISK_BAND]
    if batch.ids is not None:
        columns.insert(0, batch.ids)
        fields.insert(0, pa.field(ID_COLUMN, pa.string(), nullable=False))
    return pa.record_batch(columns, schema=pa.schema(fields))


@contextmanager
def _writer(path: Path, *, csv: bool) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """Appends batches to one file, whose columns are those of the first batch."""
    writer: pa_csv.CSVWriter | pq.ParquetWriter | None = None

    def append(batch: pa.RecordBatch) -> None:
        nonlocal writer
        if writer is None:
            if csv:
                options = pa_csv.WriteOptions(quoting_style="none", quoting_header="none")
                writer = pa_csv.CSVWriter(path, batch.schema, write_options=options)
            else:
                writer = pq.ParquetWriter(path, batch.schema, compression="zstd", store_schema=False)
        writer.write_batch(batch)

    try:
        yield append
    finally:
        if writer is not None:
            writer.close()
