"""One training run from file to registered version: plain functions in order, called by :mod:`training.train`."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from sklearn.pipeline import Pipeline

from app import model as serving
from app.bundle import ARTIFACT_FOLDER, GateResult
from app.schemas import Features
from training import evaluate, export, gates, ledger, mlflow_run, pipeline, registry, report
from training.config import MODEL_TYPES, ModelType, TrainConfig
from training.data import DataError, Dataset, Violation, encode_frame, load
from training.mlflow_store import connect, write_holdout
from training.pipeline import CrossValidation, Labels, Scores, Split
from training.result import OnStage, Progress, TrainResult

CUSTOMERS_MIN = 50
"""Of each class: with fewer, a fold or the holdout may have none, and every figure is noise."""


def validate(data: Dataset) -> Labels:
    """The labels of a file that is large enough to train on; :func:`training.data.load` checked every row.

    Raises:
        DataError: fewer than 50 customers of one class.
    """
    if data.churned is None:
        raise ValueError("loaded without labels")
    churners = int(data.churned.sum())
    if min(churners, len(data.churned) - churners) < CUSTOMERS_MIN:
        shortage = Violation(
            column="churned",
            rows=(),
            count=0,
            value=f"{churners} churners among {len(data.churned)} rows",
            expected=f"at least {CUSTOMERS_MIN} customers who churned and {CUSTOMERS_MIN} who stayed",
        )
        raise DataError(data.source, [shortage])
    return data.churned


def choose(
    config: TrainConfig, customers: pd.DataFrame, churned: Labels, ids: pd.Series | None
) -> tuple[CrossValidation, ...]:
    """Cross-validate the candidates, the best first; only the asked one when ``config.model`` names it."""
    parts = list(pipeline.folds(ids, churned, count=config.cv_folds, rows_max=config.cv_rows_max, seed=config.seed))
    candidates = MODEL_TYPES if config.model == "auto" else (config.model,)
    results = [pipeline.cross_validate(name, customers, churned, parts, seed=config.seed) for name in candidates]
    return tuple(sorted(results, key=lambda result: result.mean, reverse=True))


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A fitted model with its native scores of every row of the file."""

    model: Pipeline
    model_type: ModelType
    scores: Scores
    features: Features
    churned: Labels
    split: Split


def run(config: TrainConfig, on_stage: OnStage) -> TrainResult:
    """Train as ``config`` says and register the version; see :func:`training.train.train`."""
    progress = Progress(on_stage)
    progress.enter("load", config.source)
    data = load(config.source)
    progress.enter("validate", f"{len(data.customers):,} rows")
    churned = validate(data)
    client = connect(config.tracking_uri)
    progress.enter("split", f"{config.test_share:.0%} of the customers held out, seed {config.seed}")
    parts = pipeline.split(data.ids, churned, test_share=config.test_share, seed=config.seed)
    train_customers = data.customers.iloc[parts.train]
    train_ids = None if data.ids is None else data.ids.iloc[parts.train]
    progress.enter("choose", f"{config.cv_folds}-fold cross-validation, model {config.model}")
    validations = choose(config, train_customers, churned[parts.train], train_ids)
    best = validations[0]
    progress.enter(
        "fit", f"{best.model_type} on {len(parts.train):,} rows (cross-validated AUC {best.mean:.4f}), calibrated"
    )
    model = pipeline.fit(
        best.model_type,
        train_customers,
        churned[parts.train],
        seed=config.seed,
        calibration_folds=config.calibration_folds,
    )
    progress.enter("score", f"all {len(churned):,} rows by the native model")
    fitted = Fitted(
        model=model,
        model_type=best.model_type,
        scores=pipeline.predict(model, data.customers),
        features=encode_frame(data.customers),
        churned=churned,
        split=parts,
    )
    return _publish(config, client, data, fitted=fitted, validations=validations, progress=progress)


def _publish(
    config: TrainConfig,
    client: MlflowClient,
    data: Dataset,
    *,
    fitted: Fitted,
    validations: tuple[CrossValidation, ...],
    progress: Progress,
) -> TrainResult:
    """Evaluate, export, check the gates, report, register and stage."""
    test = fitted.split.test
    holdout, churned, scores = data.customers.iloc[test], fitted.churned[test], fitted.scores[test]
    progress.enter("evaluate", f"{len(test):,} held-out rows, {config.bootstrap_count} bootstrap samples")
    evaluation = _evaluate(config, fitted, holdout, validations)
    with tempfile.TemporaryDirectory() as scratch, mlflow_run.started(config, data, fitted.model_type) as run_id:
        folder = Path(scratch)
        progress.enter("export", "ONNX graph, golden rows, drift reference, manifest")
        facts = _facts(config, data, fitted, evaluation, run_id)
        bundle = folder / ARTIFACT_FOLDER
        graph = export.write_files(
            bundle,
            fitted.model,
            train=fitted.features[fitted.split.train],
            everyone=fitted.features,
            holdout=holdout,
            holdout_scores=scores,
        )
        progress.enter("gates", "parity, leak, calibration, regression")
        results = check_gates(config, client, data, fitted=fitted, evaluation=evaluation, graph=graph)
        manifest_sha256 = export.write_manifest(bundle, facts, results)
        # As serving does, golden rows included; a refused version too, so that it can be looked at.
        serving.load(bundle, manifest_sha256=manifest_sha256, verdict_required=False)
        progress.enter("report", "plots and model card")
        report.draw(folder / "plots", evaluation, config.cost)
        report.write_card(folder / "model_card.md", config, data, facts=facts, evaluation=evaluation, results=results)
        write_holdout(folder / "evaluation", fitted.features[test], churned, config.seed)
        progress.enter("register", f"MLflow at {config.tracking_uri}")
        version = _register(
            config,
            client,
            data,
            folder,
            run_id,
            fitted=fitted,
            facts=facts,
            evaluation=evaluation,
            manifest_sha256=manifest_sha256,
            results=results,
        )
        progress.leave()
        mlflow_run.log_seconds(progress.seconds)
    return TrainResult(
        version=version,
        run_id=run_id,
        model_type=fitted.model_type,
        rows=len(fitted.churned),
        metrics=evaluation.metrics,
        cross_validation=validations,
        gates=tuple(results),
        staged=not gates.refusals(results),
        seconds=progress.seconds,
    )


def _evaluate(
    config: TrainConfig, fitted: Fitted, holdout: pd.DataFrame, validations: tuple[CrossValidation, ...]
) -> report.Evaluation:
    test = fitted.split.test
    churned, scores = fitted.churned[test], fitted.scores[test]
    return report.Evaluation(
        churned=churned,
        scores=scores,
        metrics=evaluate.evaluate(churned, scores, bootstrap_count=config.bootstrap_count, seed=config.seed),
        slices=evaluate.evaluate_slices(holdout, churned, scores, config.cost.threshold),
        importances=evaluate.importances(fitted.model, holdout, churned, config.seed),
        validations=validations,
    )


def _register(
    config: TrainConfig,
    client: MlflowClient,
    data: Dataset,
    folder: Path,
    run_id: str,
    *,
    fitted: Fitted,
    facts: export.Facts,
    evaluation: report.Evaluation,
    manifest_sha256: str,
    results: list[GateResult],
) -> str:
    """Log what ``folder`` holds, register the version, and stage it unless a gate refused it; returns its number."""
    model_id, native_sha256 = mlflow_run.log(
        config,
        client,
        folder,
        model=fitted.model,
        holdout=data.customers.iloc[fitted.split.test],
        facts=facts,
        evaluation=evaluation,
        results=results,
    )
    version = registry.register(
        client,
        config.model_name,
        model_id=model_id,
        run_id=run_id,
        model_type=fitted.model_type,
        manifest_sha256=manifest_sha256,
        native_sha256=native_sha256,
        dataset_sha256=data.sha256,
        results=results,
    )
    if not gates.refusals(results):
        registry.stage(
            client,
            config.model_name,
            version,
            results=results,
            metrics=evaluation.point_metrics(),
            actor=ledger.default_actor(),
        )
    return version


def _facts(
    config: TrainConfig, data: Dataset, fitted: Fitted, evaluation: report.Evaluation, run_id: str
) -> export.Facts:
    return export.Facts(
        model_name=config.model_name,
        model_type=fitted.model_type,
        run_id=run_id,
        git_revision=export.git_revision(),
        dataset_sha256=data.sha256,
        threshold=config.cost.threshold,
        metrics=evaluation.flat_metrics(),
    )


def check_gates(
    config: TrainConfig,
    client: MlflowClient,
    data: Dataset,
    *,
    fitted: Fitted,
    evaluation: report.Evaluation,
    graph: bytes,
) -> list[GateResult]:
    """Every gate's verdict on the graph that would be served."""
    exported = export.onnx_scores(graph, fitted.features)
    churners = int(evaluation.churned.sum())
    test = fitted.split.test
    return [
        gates.parity(fitted.scores, exported, config.gates),
        gates.leak(
            evaluation.metrics["auc"].value,
            churners,
            len(evaluation.churned) - churners,
            data.truth.ceiling.auc if data.truth else None,
            config.gates,
        ),
        gates.calibration(
            evaluation.metrics["calibration_error"].value,
            evaluate.calibration_by_chance(evaluation.scores, config.seed),
            config.gates,
        ),
        registry.compare(
            client,
            config.model_name,
            exported[test],
            features=np.ascontiguousarray(fitted.features[test]),
            churned=evaluation.churned,
            limits=config.gates,
        ),
    ]
