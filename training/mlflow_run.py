"""Log one training run to MLflow: parameters, figures, plots, model card, native model and bundle."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import mlflow
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.models import infer_signature
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE
from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

from app.bundle import ARTIFACT_FOLDER, digest
from training import fairness_report
from training.candidate import CandidateVersion, LoggedModel, Run
from training.config import ModelType, TrainConfig
from training.data import Dataset
from training.gates import to_tags, verdict
from training.markdown import for_mlflow, replaced_section
from training.mlflow_dataset import run_name, training_input, without_credentials
from training.mlflow_experiment import prepare
from training.mlflow_store import EVALUATION_FOLDER, plain_errors
from training.native import FILE, TRUSTED_TYPES
from training.pipeline import classifier_parts
from training.report import CARD, PLOTS

_REQUIREMENTS: Final = ("mlflow", "numpy", "pandas", "scikit-learn", "skops")
_BOOSTING: Final = ("lightgbm", "xgboost")
_EXAMPLE_ROWS: Final = 3
_METRICS_MAX: Final = 1000


@contextmanager
def started(config: TrainConfig, data: Dataset, model_type: ModelType) -> Iterator[str]:
    """Start an MLflow run of a model of ``model_type`` on ``data``; it ends as failed if the block raises.

    Yields the run's id.
    """
    # Printing is up to the caller.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    with plain_errors(f"cannot log to experiment {config.experiment!r} at {config.tracking_uri}"):
        mlflow.set_tracking_uri(config.tracking_uri)
        mlflow.set_registry_uri(config.tracking_uri)
        client = MlflowClient()
        prepare(client, mlflow.set_experiment(config.experiment))
        with mlflow.start_run(run_name=run_name(model_type, data)) as active:
            client.log_inputs(active.info.run_id, [training_input(data)])
            yield str(active.info.run_id)


def log(run: Run, candidate: CandidateVersion) -> LoggedModel:
    """Log everything about a candidate to the running MLflow run; the bundle and the holdout go to its logged model."""
    facts, evaluation, folder, model = candidate.facts, candidate.evaluation, candidate.folder, run.fitted.model
    mlflow.log_params(
        {"model_type": facts.model_type}
        | _flat(run.config.model_dump(mode="json", exclude={"tracking_uri", "contract"}))
        | {"contract": run.config.contract.name, "contract_sha256": run.config.contract.sha256}
        | {f"hyperparameter.{name}": value for name, value in evaluation.validations[0].params.items()}
        | {"source": without_credentials(run.config.source), "cost.threshold": facts.threshold}
        | ({"held_out_from": run.fitted.cut.day.isoformat()} if run.fitted.cut else {})
    )
    card = folder / CARD
    mlflow.set_tags(
        {
            "dataset_sha256": facts.dataset_sha256,
            "git_revision": facts.git_revision or "unknown",
            "gate": verdict(candidate.results),
            **to_tags(candidate.results),
            MLFLOW_RUN_NOTE: _as_note_of(facts.run_id, card.read_text(encoding="utf-8")),
        }
    )
    mlflow.log_artifacts(str(folder / PLOTS), PLOTS)
    mlflow.log_artifact(str(card))
    # Plain strings: the schema of the input is names and numbers, not pandas' categories.
    example = run.holdout.head(_EXAMPLE_ROWS)
    example = example.astype(dict.fromkeys(example.select_dtypes("category"), "object"))
    with warnings.catch_warnings():
        # Only MLflow's own code runs here; it warns about its own type hints and its use of pandas.
        warnings.simplefilter("ignore")
        info = mlflow.sklearn.log_model(
            model,
            name=facts.model_type,
            serialization_format="skops",
            skops_trusted_types=TRUSTED_TYPES[facts.model_type],
            signature=infer_signature(example, model.predict_proba(example)),
            input_example=example,
            pyfunc_predict_fn="predict_proba",
            pip_requirements=_requirements(classifier_parts(model)[0]),
        )
    # After the model: MLflow asks for the history of each metric that the run has when a model is logged.
    metrics = evaluation.grouped_metrics() | {"data_warnings": float(len(evaluation.warnings))}
    # A contract may have many groups, and the server takes 1,000 figures at a time.
    figures = list(metrics.items())
    for start in range(0, len(figures), _METRICS_MAX):
        mlflow.log_metrics(dict(figures[start : start + _METRICS_MAX]), model_id=info.model_id)
    for name in (ARTIFACT_FOLDER, EVALUATION_FOLDER):
        run.client.log_model_artifacts(info.model_id, str(folder / name), name)
    # skops never writes the same file twice, so the digest is taken from the file that MLflow stores.
    native = download_artifacts(f"{info.artifact_path}/{FILE}", dst_path=str(folder / "native"))
    return LoggedModel(model_id=str(info.model_id), native_sha256=digest(Path(native)).sha256)


def _requirements(classifier: object) -> list[str]:
    """What a program needs that loads the native model: the library of its classifier may be an extra."""
    roots = {kind.__module__.partition(".")[0] for kind in type(classifier).__mro__} & set(_BOOSTING)
    packages = importlib.metadata.packages_distributions() if roots else {}
    names = (*_REQUIREMENTS, *(packages[root][0] for root in sorted(roots)))
    return [f"{name}=={importlib.metadata.version(name)}" for name in names]


def log_seconds(seconds: dict[str, float]) -> None:
    """Log how long each stage took, in seconds."""
    mlflow.log_metrics({f"training_seconds/{stage}": value for stage, value in seconds.items()})


def _as_note_of(run_id: str, card: str) -> str:
    """Adapt the model card to the run's page: MLflow serves the plots as artifacts of the run, and cuts a long text."""
    card = card.replace(f"]({PLOTS}/", f"](get-artifact?run_uuid={run_id}&path={PLOTS}/")
    note = for_mlflow(card)
    if len(note) <= MAX_TAG_VAL_LENGTH:
        return note
    # The longest section, and the only one whose figures are elsewhere on the page too.
    where = f"The rates of each group are in `{CARD}` among the artifacts, and among the metrics."
    return for_mlflow(replaced_section(card, fairness_report.HEADING, where))


def _flat(values: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
