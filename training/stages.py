"""One training run from file to registered version: plain functions in order, called by :mod:`training.train`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from app import model as serving
from app.bundle import ARTIFACT_FOLDER, GateResult
from app.contract import Features, Scores
from training import (
    compare,
    duplicates,
    evaluate,
    export,
    fairness,
    fairness_gate,
    foreign,
    gates,
    ledger,
    mlflow_run,
    mlflow_trials,
    registration,
    report,
    sanity,
)
from training.auc import auc
from training.candidate import CandidateVersion, Run
from training.config import TrainConfig
from training.data import load
from training.fitting import fit, validate
from training.judge import judge
from training.mlflow_store import EVALUATION_FOLDER, connect, write_holdout
from training.result import OnStage, Progress, TrainResult


def run(config: TrainConfig, on_stage: OnStage) -> TrainResult:
    """Train as ``config`` says and register the version; see :func:`training.train.train`."""
    progress = Progress(on_stage)
    progress.enter("load", config.source)
    data = load(config.source, config.contract, reading=config.reading, dated=config.split == "time")
    progress.enter("validate", f"{len(data.customers):,} rows")
    churned = validate(data)
    client = connect(config.tracking_uri)
    fitted = fit(config, data, churned, progress.enter)
    return publish(Run(config=config, client=client, data=data, fitted=fitted), progress)


def publish(run: Run, progress: Progress) -> TrainResult:
    """Evaluate, export, check the gates, report, register and stage."""
    config, fitted = run.config, run.fitted
    progress.enter("evaluate", f"{len(fitted.split.test):,} held-out rows, {config.bootstrap_count} bootstrap samples")
    current = compare.production(run.client, compare.incumbent(run.client, config.model_name), run.data.contract)
    evaluation = _evaluate(run, current)
    with tempfile.TemporaryDirectory() as scratch, mlflow_run.started(config, run.data, fitted.model_type) as run_id:
        facts = _facts(run, evaluation, run_id)
        candidate = _candidate(run, facts, evaluation, current, folder=Path(scratch), progress=progress)
        progress.enter("register", f"MLflow at {config.tracking_uri}")
        mlflow_trials.log(run.client, run_id, fitted.trials)
        version = _register(run, candidate)
        progress.leave()
        mlflow_run.log_seconds(progress.seconds)
    return TrainResult(
        version=version,
        run_id=run_id,
        model_type=fitted.model_type,
        rows=len(fitted.churned),
        metrics=evaluation.metrics,
        cross_validation=fitted.validations,
        gates=tuple(candidate.results),
        staged=not gates.refusals(candidate.results),
        warnings=evaluation.warnings,
        seconds=progress.seconds,
        trials=len(fitted.trials),
    )


def _evaluate(run: Run, current: compare.Production | None) -> report.Evaluation:
    config, fitted = run.config, run.fitted
    holdout, churned, scores = run.holdout, run.holdout_labels, run.holdout_scores
    groups = fairness.evaluate_groups(
        run.data.contract, holdout, churned, scores, config.cost.threshold, fitted.clusters
    )
    other_population = current.differences(fitted.features, fitted.scores) if current else []
    return report.Evaluation(
        churned=churned,
        scores=scores,
        metrics=evaluate.evaluate(
            churned, scores, bootstrap_count=config.bootstrap_count, seed=config.seed, clusters=fitted.clusters
        ),
        slices=evaluate.evaluate_slices(run.data.contract, holdout, churned, scores),
        groups=tuple(groups),
        importances=evaluate.importances(fitted.model, holdout, churned, config.seed),
        validations=fitted.validations,
        cut=fitted.cut,
        warnings=(
            *run.data.notes,
            *sanity.warnings(run.data.contract, fitted.customers),
            *duplicates.warnings(fitted.content),
            *fairness_gate.warnings(run.data.contract, groups, config.gates),
            *other_population,
        ),
    )


def _facts(run: Run, evaluation: report.Evaluation, run_id: str) -> export.Facts:
    return export.Facts(
        contract=run.data.contract,
        medians=run.fitted.medians,
        model_name=run.config.model_name,
        model_type=run.fitted.model_type,
        run_id=run_id,
        git_revision=export.git_revision(),
        dataset_sha256=run.data.sha256,
        threshold=run.config.cost.threshold,
        metrics=evaluation.flat_metrics(),
    )


def _candidate(
    run: Run,
    facts: export.Facts,
    evaluation: report.Evaluation,
    current: compare.Production | None,
    *,
    folder: Path,
    progress: Progress,
) -> CandidateVersion:
    """Write everything about the version into ``folder``, and pass judgement on it."""
    config, data = run.config, run.data
    progress.enter("export", "ONNX graph, golden rows, drift reference, manifest")
    bundle = folder / ARTIFACT_FOLDER
    graph = _write_files(bundle, run, facts)
    progress.enter("gates", "parity, skill, duplicates, leak, calibration, regression")
    results = check_gates(run, graph, current)
    manifest_sha256 = export.write_manifest(bundle, facts, results)
    # Loaded as serving does, golden rows included; a refused version too, so that it can be looked at.
    serving.load(bundle, manifest_sha256=manifest_sha256, verdict_required=False)
    progress.enter("report", "plots and model card")
    report.draw(folder / report.PLOTS, evaluation, config.cost)
    report.write_card(folder / report.CARD, config, data, facts=facts, evaluation=evaluation, results=results)
    write_holdout(folder / EVALUATION_FOLDER, data.contract, run.holdout_features, run.holdout_labels, config.seed)
    return CandidateVersion(
        folder=folder, facts=facts, evaluation=evaluation, results=results, manifest_sha256=manifest_sha256
    )


def _write_files(bundle: Path, run: Run, facts: export.Facts) -> bytes:
    """Write the bundle without its manifest, and return the graph."""
    fitted = run.fitted
    if fitted.elsewhere is not None:
        return foreign.write_files(bundle, run, facts)
    return export.write_files(
        bundle,
        fitted.model,
        facts,
        train=fitted.features[fitted.split.train],
        everyone=fitted.features,
        holdout=run.holdout,
        holdout_scores=run.holdout_scores,
    )


def check_gates(run: Run, graph: bytes, current: compare.Production | None) -> list[GateResult]:
    """Every gate's verdict on the graph that would be served."""
    fitted = run.fitted
    test = fitted.split.test

    def score(features: Features) -> Scores:
        return export.onnx_scores(graph, features)

    exported = score(fitted.features)
    candidate = compare.Candidate(
        score=score,
        features=np.ascontiguousarray(run.holdout_features),
        churned=run.holdout_labels,
        scores=exported[test],
        auc=auc(run.holdout_labels, exported[test], fitted.clusters),
    )
    return [
        *judge(run.config, run.data, fitted, exported),
        compare.gate(run.client, current, candidate, run.config.gates),
    ]


def _register(run: Run, candidate: CandidateVersion) -> str:
    """Log the candidate, register it, and stage it unless a gate refused it; returns the version's number."""
    logged = mlflow_run.log(run, candidate)
    version = registration.register(run.client, candidate, logged)
    if not gates.refusals(candidate.results):
        registration.stage(
            run.client,
            run.config.model_name,
            version,
            results=candidate.results,
            metrics=candidate.evaluation.point_metrics(),
            actor=ledger.default_actor(),
        )
    return version
