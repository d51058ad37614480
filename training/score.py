"""Scores a whole file with a servable bundle, as a stream: memory does not depend on the number of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pyarrow as pa

from app.contract import Reading, Scores
from app.decisions import DECISIONS, RISK_BANDS
from app.model import Model, Origin, load
from training.answer_parts import AnswerWriter, answer_file, answer_parts
from training.answers import Answers
from training.output_folder import check_destination, delivered_folder, is_folder
from training.outputs import delivered, is_csv
from training.population_check import Difference, PopulationCheck, PopulationError
from training.reading_parts import Parts
from training.sources import fetched
from training.validate import CheckedBatch, checked_batches
from training.violations import DataError, Findings

BATCH_ROWS: Final = 65_536

PartFormat = Literal["parquet", "csv"]
OnProgress = Callable[[int, float], None]
"""Called after each batch with the rows scored so far and the share of the file that is done, from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class ScoreSummary:
    """The outcome: files, rows, also by decision and by risk band, the mean probability, and what identifies the model.

    ``differences`` is empty unless the customers are another population than the model was trained on.
    """

    out: str
    parts: int
    rows: int
    decisions: dict[str, int]
    risk_bands: dict[str, int]
    mean_probability: float
    model_name: str
    model_version: str
    run_id: str
    threshold: float
    scored_at: datetime
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    """Sentences about what was read differently from how it is written."""


@dataclass(frozen=True)
class ModelFolder:
    """A bundle (:mod:`app.bundle`) on disk, and what the registry knows of it.

    Attributes:
        manifest_sha256: the registered digest of the manifest; None if nobody knows it.
        override_sha256: the registered digest of the override, for a version whose gates somebody overrode.
        version: the registered number of the version; by default a name made from the manifest's digest.
    """

    path: Path
    manifest_sha256: str | None = None
    override_sha256: str | None = None
    version: str | None = None

    def load(self) -> Model:
        """The model, verified as for serving.

        Raises:
            BundleError: the model must not be used, see :func:`app.model.load`.
        """
        origin = None if self.version is None else Origin(version=self.version, source="mlflow")
        return load(self.path, origin, manifest_sha256=self.manifest_sha256, override_sha256=self.override_sha256)


def score(  # noqa: PLR0913 - options of one command, all by name
    model_folder: ModelFolder,
    source: str,
    out: Path | str,
    *,
    part_format: PartFormat = "parquet",
    overwrite: bool = False,
    strict: bool = False,
    batch_rows: int = BATCH_ROWS,
    reading: Reading | None = None,
    on_progress: OnProgress | None = None,
) -> ScoreSummary:
    """Score every customer of a file.

    ``out`` receives, in the order of the source, customer_id (when the source has it), churn_probability, decision
    ("churn" from the manifest's threshold on, else "stay"), risk_band ("low", "medium", "high"), model_name,
    model_version and scored_at (UTC, one value for the whole run).

    Args:
        model_folder: the model, verified as for serving.
        source: as for :func:`training.data.load`; a column with the label is ignored.
        out: ``.csv`` or ``.parquet``, or a folder of parts (see :mod:`training.answer_parts`) if it ends in ``/``;
            local or ``s3://``. Written only when every row of the source is valid.
        part_format: the format of the parts of a folder.
        overwrite: whether an existing ``out`` may be replaced; never if it is the source itself.
        strict: whether to write nothing if the customers are another population than the model was trained on.
        batch_rows: rows scored at once from a Parquet file.
        reading: how the source is written, where that is not to be found out or differs from the contract.
        on_progress: reports how far the scoring is.

    Raises:
        PathError: ``out`` exists, is the source, or cannot be written.
        DataError: the source with every violation in it.
        PopulationError: another population, with ``strict``.
        BundleError: the model must not be used, see :func:`app.model.load`.
    """
    out = str(out)
    check_destination(out, overwrite=overwrite, source=source)
    model = model_folder.load()
    csv = part_format == "csv" if is_folder(out) else is_csv(out)
    answers = Answers(model=model, scored_at=datetime.now(UTC).replace(microsecond=0), csv=csv)
    tally = _Tally(model, answers.scored_at)
    findings = Findings(model.contract)
    try:
        with _destination(out, answers, overwrite=overwrite) as opened, fetched(source) as path:
            with opened(path) as answer_writer:
                for batch in checked_batches(
                    path, model.contract, findings, labelled=False, batch_rows=batch_rows, reading=reading
                ):
                    answer_writer.append(tally.add(batch, answers), batch.part)
                    if on_progress is not None:
                        on_progress(tally.rows, batch.done)
            findings.raise_if_any(source)
            differences = tally.population.differences()
            if strict and differences:
                raise PopulationError(source, differences)
    except DataError as error:
        # The reader only knows the local copy.
        raise DataError(source, error.violations) from error
    return tally.summary(out, answer_writer.count, differences, findings.notes)


@contextmanager
def _destination(
    out: str, answers: Answers, *, overwrite: bool
) -> Iterator[Callable[[Path | Parts], AbstractContextManager[AnswerWriter]]]:
    """Provide what opens the output for a source; it receives the answers if the context ends without an error."""
    if not is_folder(out):
        with delivered(out, overwrite=overwrite) as temporary:
            yield lambda _: answer_file(temporary, answers)
        return
    with delivered_folder(out, overwrite=overwrite) as folder:
        yield lambda path: answer_parts(
            folder, answers, [part.name for part in path.files] if isinstance(path, Parts) else []
        )


class _Tally:
    """Scores batches and counts the results."""

    def __init__(self, model: Model, scored_at: datetime) -> None:
        self._model = model
        self._scored_at = scored_at
        self._decisions = np.zeros(len(DECISIONS), dtype=np.int64)
        self._risk_bands = np.zeros(len(RISK_BANDS), dtype=np.int64)
        self._total = 0.0
        self.rows = 0
        self.population = PopulationCheck(model.contract, model.reference)

    def add(self, batch: CheckedBatch, answers: Answers) -> pa.RecordBatch:
        """Score one batch; returns its answers."""
        features = batch.features(self._model.manifest.medians)
        probability: Scores = self._model.score(features)
        decision, risk = (codes.astype(np.int8) for codes in self._model.thresholds.codes(probability))
        self._decisions += np.bincount(decision, minlength=len(DECISIONS))
        self._risk_bands += np.bincount(risk, minlength=len(RISK_BANDS))
        self._total += float(probability.sum())
        self.rows += batch.rows
        self.population.add(features, probability)
        return answers.batch(batch.ids, probability, decision, risk)

    def summary(
        self, out: str, parts: int, differences: tuple[Difference, ...], notes: tuple[str, ...]
    ) -> ScoreSummary:
        manifest = self._model.manifest
        return ScoreSummary(
            out=out,
            parts=parts,
            rows=self.rows,
            decisions=dict(zip(DECISIONS, self._decisions.tolist(), strict=True)),
            risk_bands=dict(zip(RISK_BANDS, self._risk_bands.tolist(), strict=True)),
            mean_probability=self._total / self.rows,
            model_name=manifest.model_name,
            model_version=self._model.origin.version,
            run_id=manifest.run_id,
            threshold=manifest.threshold,
            scored_at=self._scored_at,
            differences=differences,
            notes=notes,
        )
