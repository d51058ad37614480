"""One training run from file to registered version: plain functions in order, called by :mod:`training.train`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from mlflow import MlflowClient

from app import model as serving
from app.bundle import ARTIFACT_FOLDER, GateResult
from app.schemas import Features, Scores
from training import compare, duplicates, evaluate, export, gates, ledger, mlflow_run, registration, report, sanity
from training.auc import auc
from training.config import TrainConfig
from training.data import Dataset, load
from training.fitting import Fitted, fit, validate
from training.judge import judge
from training.mlflow_store import connect, write_holdout
from training.result import OnStage, Progress, TrainResult


def run(config: TrainConfig, on_stage: OnStage) -> TrainResult:
    """Train as ``config`` says and register the version; see :func:`training.train.train`."""
    progress = Progress(on_stage)
    progress.enter("load", config.source)
    data = load(config.source)
    progress.enter("validate", f"{len(data.customers):,} rows")
    churned = validate(data)
    client = connect(config.tracking_uri)
    fitted = fit(config, data, churned, progress.enter)
    return _publish(config, client, data, fitted=fitted, progress=progress)


def _publish(
    config: TrainConfig,
    client: MlflowClient,
    data: Dataset,
    *,
    fitted: Fitted,
    progress: Progress,
) -> TrainResult:
    """Evaluate, export, check the gates, report, register and stage."""
    test = fitted.split.test
    progress.enter("evaluate", f"{len(test):,} held-out rows, {config.bootstrap_count} bootstrap samples")
    current = compare.production(client, compare.incumbent(client, config.model_name))
    evaluation = _evaluate(config, data, fitted, current)
    with tempfile.TemporaryDirectory() as scratch, mlflow_run.started(config, data, fitted.model_type) as run_id:
        folder = Path(scratch)
        progress.enter("export", "ONNX graph, golden rows, drift reference, manifest")
        facts = _facts(config, data, fitted, evaluation, run_id)
        bundle = folder / ARTIFACT_FOLDER
        graph = _write_files(bundle, data, fitted)
        progress.enter("gates", "parity, skill, duplicates, leak, calibration, regression")
        results = check_gates(config, client, data, fitted=fitted, graph=graph, current=current)
        manifest_sha256 = export.write_manifest(bundle, facts, results)
        # As serving does, golden rows included; a refused version too, so that it can be looked at.
        serving.load(bundle, manifest_sha256=manifest_sha256, verdict_required=False)
        progress.enter("report", "plots and model card")
        report.draw(folder / "plots", evaluation, config.cost)
        report.write_card(folder / "model_card.md", config, data, facts=facts, evaluation=evaluation, results=results)
        write_holdout(folder / "evaluation", fitted.features[test], fitted.churned[test], config.seed)
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
        cross_validation=fitted.validations,
        gates=tuple(results),
        staged=not gates.refusals(results),
        warnings=evaluation.warnings,
        seconds=progress.seconds,
    )


def _write_files(bundle: Path, data: Dataset, fitted: Fitted) -> bytes:
    """Write the bundle but for its manifest; returns the graph."""
    train, test = fitted.split.train, fitted.split.test
    return export.write_files(
        bundle,
        fitted.model,
        train=fitted.features[train],
        everyone=fitted.features,
        holdout=data.customers.iloc[test],
        holdout_scores=fitted.scores[test],
    )


def _evaluate(
    config: TrainConfig, data: Dataset, fitted: Fitted, current: compare.Production | None
) -> report.Evaluation:
    test = fitted.split.test
    holdout = data.customers.iloc[test]
    churned, scores = fitted.churned[test], fitted.scores[test]
    other_population = current.differences(fitted.features, fitted.scores) if current else []
    return report.Evaluation(
        churned=churned,
        scores=scores,
        metrics=evaluate.evaluate(
            churned, scores, bootstrap_count=config.bootstrap_count, seed=config.seed, clusters=fitted.clusters
        ),
        slices=evaluate.evaluate_slices(holdout, churned, scores, config.cost.threshold),
        importances=evaluate.importances(fitted.model, holdout, churned, config.seed),
        validations=fitted.validations,
        warnings=(
            *data.notes,
            *sanity.warnings(data.customers),
            *duplicates.warnings(fitted.content),
            *other_population,
        ),
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
    version = registration.register(
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
        registration.stage(
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
    graph: bytes,
    current: compare.Production | None,
) -> list[GateResult]:
    """Every gate's verdict on the graph that would be served."""
    test = fitted.split.test

    def score(features: Features) -> Scores:
        return export.onnx_scores(graph, features)

    exported = score(fitted.features)
    candidate = compare.Candidate(
        score=score,
        features=np.ascontiguousarray(fitted.features[test]),
        churned=fitted.churned[test],
        scores=exported[test],
        auc=auc(fitted.churned[test], exported[test], fitted.clusters),
    )
    return [
        *judge(config, data, fitted, exported),
        compare.gate(client, current, candidate, config.gates),
    ]
