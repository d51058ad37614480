"""The file of scores: its columns, what it says about the model, and its writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from app.contract import Scores
from app.decisions import DECISIONS, RISK_BANDS
from app.model import Model

PROBABILITY: Final = "churn_probability"
CSV_ROWS: Final = 16_384
"""Rows turned into text at once: a seventh faster than pyarrow's default."""
_MOMENT: Final = pa.timestamp("ms", tz="UTC")
_STRUCTURAL: Final = frozenset(',"\r\n')
"""Characters that a value of a CSV file may only hold in quotes."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The answers of one run as Arrow batches; every row names the model's version and the time of the run."""

    model: Model
    scored_at: datetime
    """UTC, to the second."""
    csv: bool
    _constants: list[pa.Array] = field(default_factory=list, init=False)

    @property
    def key(self) -> str:
        """Name of the column with the customer's key."""
        return self.model.contract.key.name

    def batch(
        self, ids: pa.Array | None, probability: Scores, decision: npt.NDArray[np.int8], risk: npt.NDArray[np.int8]
    ) -> pa.RecordBatch:
        """The answers of some customers; ``decision`` and ``risk`` are indices of DECISIONS and RISK_BANDS."""
        columns = {} if ids is None else {self.key: ids}
        columns |= {
            PROBABILITY: pa.array(probability),
            "decision": pa.DictionaryArray.from_arrays(decision, list(DECISIONS)),
            "risk_band": pa.DictionaryArray.from_arrays(risk, list(RISK_BANDS)),
        }
        names = ("model_name", "model_version", "scored_at")
        columns |= dict(zip(names, self._same(len(probability)), strict=True))
        fields = [pa.field(name, column.type, nullable=False) for name, column in columns.items()]
        return pa.record_batch(list(columns.values()), schema=pa.schema(fields))

    def metadata(self) -> dict[str, str]:
        """What a Parquet file says about itself, besides its columns."""
        manifest = self.model.manifest
        return {
            "churn.model_name": manifest.model_name,
            "churn.model_version": self.model.origin.version,
            "churn.run_id": manifest.run_id,
            "churn.manifest_sha256": self.model.fingerprint.hex(),
            "churn.contract": self.model.contract.name,
            "churn.contract_sha256": self.model.contract.sha256,
            "churn.threshold": repr(manifest.threshold),
            "churn.scored_at": self._moment(),
        }

    def plain(self) -> bool:
        """Whether no value needs quotes in a CSV file."""
        return _STRUCTURAL.isdisjoint(self.model.manifest.model_name + self.model.origin.version)

    def _moment(self) -> str:
        return f"{self.scored_at:%Y-%m-%dT%H:%M:%SZ}"

    def _same(self, rows: int) -> list[pa.Array]:
        """Columns of one value, cut from the longest ones needed so far, so that they cost next to nothing."""
        if not self._constants or len(self._constants[0]) < rows:
            index = pa.array(np.zeros(rows, dtype=np.int8))
            texts = [self.model.manifest.model_name, self.model.origin.version]
            if self.csv:
                # Plain text: the CSV writer would look each row up in a dictionary again.
                texts.append(self._moment())
                columns = [pa.DictionaryArray.from_arrays(index, [text]).dictionary_decode() for text in texts]
            else:
                milliseconds = int(self.scored_at.timestamp()) * 1000
                columns = [pa.DictionaryArray.from_arrays(index, [text]) for text in texts]
                columns.append(pa.array(np.full(rows, milliseconds)).cast(_MOMENT))
            self._constants[:] = columns
        return [column.slice(0, rows) for column in self._constants]


@contextmanager
def writer(path: Path, answers: Answers) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """Appends batches to one file, whose columns are those of the first batch."""
    opened: pa_csv.CSVWriter | pq.ParquetWriter | None = None

    def append(batch: pa.RecordBatch) -> None:
        nonlocal opened
        if opened is None:
            opened = _opened(path, batch.schema, answers)
        opened.write_batch(batch)

    try:
        yield append
    finally:
        if opened is not None:
            opened.close()


def _opened(path: Path, schema: pa.Schema, answers: Answers) -> pa_csv.CSVWriter | pq.ParquetWriter:
    if answers.csv:
        quotes = "none" if answers.plain() else "needed"
        options = pa_csv.WriteOptions(quoting_style=quotes, quoting_header="none", batch_size=CSV_ROWS)
        return pa_csv.CSVWriter(path, schema, write_options=options)
    # Without Arrow's own schema inside: any reader sees plain strings and numbers.
    # Identifiers and probabilities hardly repeat: a dictionary of them takes longer and is larger than they are.
    repeating = [column.name for column in schema if column.name not in {answers.key, PROBABILITY}]
    parquet = pq.ParquetWriter(path, schema, compression="zstd", store_schema=False, use_dictionary=repeating)
    parquet.add_key_value_metadata(answers.metadata())
    return parquet
