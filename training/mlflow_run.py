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
import numpy as np
import onnx
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.models import infer_signature
from mlflow.models.model import ModelInfo
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE
from mlflow.utils.validation import MAX_TAG_VAL_LENGTH
from sklearn.pipeline import Pipeline

from app.bundle import ARTIFACT_FOLDER, digest
from training import fairness_report
from training.candidate import CandidateVersion, LoggedModel, Run
from training.config import RegisterConfig, RunConfig, VersionType
from training.data import Dataset
from training.gates import to_tags, verdict
from training.graph_model import GraphModel
from training.markdown import for_mlflow, replaced_section
from training.mlflow_dataset import run_name, training_input, without_credentials
from training.mlflow_experiment import prepare
from training.mlflow_store import EVALUATION_FOLDER, plain_errors
from training.native import EVERY_TRUSTED_TYPE, FILE, TRUSTED_TYPES
from training.report import CARD, PLOTS

_REQUIREMENTS: Final = ("mlflow", "numpy", "pandas", "scikit-learn", "skops")
_BOOSTING: Final = ("lightgbm", "xgboost")
_EXAMPLE_ROWS: Final = 3
_METRICS_MAX: Final = 1000


@contextmanager
def started(config: RunConfig, data: Dataset, model_type: VersionType) -> Iterator[str]:
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
            client.log_inputs(
                active.info.run_id, [training_input(data, "evaluation" if model_type == "foreign" else "training")]
            )
            yield str(active.info.run_id)


def log(run: Run, candidate: CandidateVersion) -> LoggedModel:
    """Log everything about a candidate to the running MLflow run; the bundle and the holdout go to its logged model."""
    facts, evaluation, folder = candidate.facts, candidate.evaluation, candidate.folder
    mlflow.log_params(
        {"model_type": facts.model_type}
        | _flat(run.config.model_dump(mode="json", exclude={"tracking_uri", "contract"}))
        | {"contract": run.config.contract.name, "contract_sha256": run.config.contract.sha256}
        | {f"hyperparameter.{k}": v for best in evaluation.validations[:1] for k, v in best.params.items()}
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
    with warnings.catch_warnings():
        # Only MLflow's own code runs here; it warns about its own type hints and its use of pandas.
        warnings.simplefilter("ignore")
        native = not isinstance(run.fitted.model, GraphModel)
        info = _log_pipeline(run, facts.model_type) if native else _log_graph(run, facts.model_type)
    # After the model: MLflow asks for the history of each metric that the run has when a model is logged.
    metrics = evaluation.grouped_metrics() | {"data_warnings": float(len(evaluation.warnings))}
    # A contract may have many groups, and the server takes 1,000 figures at a time.
    figures = list(metrics.items())
    for start in range(0, len(figures), _METRICS_MAX):
        mlflow.log_metrics(dict(figures[start : start + _METRICS_MAX]), model_id=info.model_id)
    for name in (ARTIFACT_FOLDER, EVALUATION_FOLDER):
        run.client.log_model_artifacts(info.model_id, str(folder / name), name)
    if not native:
        return LoggedModel(model_id=str(info.model_id), native_sha256=None)
    # skops never writes the same file twice, so the digest is taken from the file that MLflow stores.
    stored = download_artifacts(f"{info.artifact_path}/{FILE}", dst_path=str(folder / "native"))
    return LoggedModel(model_id=str(info.model_id), native_sha256=digest(Path(stored)).sha256)


def _log_pipeline(run: Run, name: VersionType) -> ModelInfo:
    """Log the scikit-learn pipeline."""
    # Plain strings: the schema of the input is names and numbers, not pandas' categories.
    example = run.holdout.head(_EXAMPLE_ROWS)
    example = example.astype(dict.fromkeys(example.select_dtypes("category"), "object"))
    model = run.fitted.model
    info: ModelInfo = mlflow.sklearn.log_model(
        model,
        name=name,
        serialization_format="skops",
        skops_trusted_types=_trusted_types(run.config, name),
        signature=infer_signature(example, model.predict_proba(example)),
        input_example=example,
        pyfunc_predict_fn="predict_proba",
        pip_requirements=_requirements(*_REQUIREMENTS, *_libraries(model)),
    )
    return info


def _log_graph(run: Run, name: VersionType) -> ModelInfo:
    """Log a graph that has no native model, in the form that serving runs."""
    example = run.holdout_features[:_EXAMPLE_ROWS]
    answer = run.fitted.model.predict_proba(run.holdout.head(_EXAMPLE_ROWS)).astype(np.float32)
    info: ModelInfo = mlflow.onnx.log_model(
        onnx.load_model_from_string(run.fitted.model.graph),
        name=name,
        signature=infer_signature(example, answer),
        pip_requirements=_requirements("mlflow", "numpy", "onnx", "onnxruntime"),
        save_as_external_data=False,
    )
    return info


def _trusted_types(config: RunConfig, model_type: VersionType) -> list[str]:
    """The types that the file may hold; of a pipeline from elsewhere, those that a person trusts."""
    if isinstance(config, RegisterConfig):
        return sorted({*EVERY_TRUSTED_TYPE, *config.trusted_types})
    if model_type == "foreign":
        raise ValueError("trained elsewhere, but not registered as such")
    return TRUSTED_TYPES[model_type]


def _requirements(*packages: str) -> list[str]:
    """These packages in the versions that are installed."""
    return [f"{name}=={importlib.metadata.version(name)}" for name in packages]


def _libraries(model: Pipeline) -> list[str]:
    """What a program needs beside that to load the native model: the library of a classifier may be an extra."""
    kinds = {kind for part in model.get_params().values() for kind in type(part).__mro__}
    roots = {kind.__module__.partition(".")[0] for kind in kinds} & set(_BOOSTING)
    packages = importlib.metadata.packages_distributions() if roots else {}
    return [packages[root][0] for root in sorted(roots)]


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
