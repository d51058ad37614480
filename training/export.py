"""Write the bundle of a fitted model: everything serving needs, in the format of :mod:`app.bundle`."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from app.bundle import (
    BUNDLE_FILES,
    EXPLAIN,
    GOLDEN,
    INPUT_NAME,
    MANIFEST,
    MODEL,
    OUTPUT_NAME,
    REFERENCE,
    Bins,
    GateResult,
    Golden,
    GoldenRow,
    Manifest,
    Reference,
    RiskBands,
    digest,
    sha256,
    write_json,
)
from app.contract import NUMBER_BINS, Contract, Features, Scores
from app.explain import Explain, Linear, Occlusion
from app.feature import Constant, Feature
from app.model import new_session
from training.config import VersionType
from training.filling import assumed, numbers_of
from training.onnx_graph import to_onnx
from training.pipeline import (
    CATEGORY_BRANCH,
    ENCODE,
    NUMBER_BRANCH,
    SCALE,
    branches,
    classifier_parts,
    encoding_of,
    predict,
)

GOLDEN_ROWS: Final = 64
_BLANK_EVERY: Final = 8
"""Every eighth golden row has a blank in each feature that may have one, as a client may send it."""
_CHUNK_ROWS: Final = 100_000


def onnx_scores(graph: bytes, features: Features) -> Scores:
    """Probability of churn by an exported graph, shape (rows,); ``features`` as coded by :class:`app.coding.Coder`."""
    session = new_session(graph)
    parts = [
        session.run([OUTPUT_NAME], {INPUT_NAME: features[start : start + _CHUNK_ROWS]})[0][:, 1]
        for start in range(0, len(features), _CHUNK_ROWS)
    ]
    return np.concatenate(parts).astype(np.float64)


def golden(facts: Facts, model: Pipeline, customers: pd.DataFrame, scores: Scores) -> Golden:
    """Customers from the lowest to the highest score, as a client would send them, with their native scores."""
    contract = facts.contract
    ranks = np.linspace(0, len(scores) - 1, min(GOLDEN_ROWS, len(scores))).astype(int)
    chosen = customers.iloc[np.argsort(scores, kind="stable")[ranks]].copy()
    blank = np.arange(len(chosen)) % _BLANK_EVERY == 0
    numbers = numbers_of(contract, chosen)
    for feature in contract.features:
        if feature.nullable and not feature.is_category:
            value = assumed(feature, numbers, facts.medians)
            chosen[feature.name] = np.where(blank, value, numbers[feature.name])
        elif isinstance(feature.blank, Constant):
            chosen.loc[blank, feature.name] = feature.blank.constant
    rows = []
    for is_blank, record, score in zip(blank, chosen.to_dict("records"), predict(model, chosen), strict=True):
        customer = {f.name: None if is_blank and f.nullable else _as_sent(f, record[f.name]) for f in contract.features}
        rows.append(GoldenRow(customer=customer, score=float(score)))
    return Golden(rows=rows)


def _as_sent(feature: Feature, value: Any) -> str | bool | float | None:
    """A value of a frame as a client would send it; one that only a formula or a median can give as a blank."""
    if feature.is_category:
        return str(value)
    if not feature.fits(value):
        return None
    return bool(value) if feature.type == "boolean" else int(value) if feature.integer else float(value)


def number_bins(values: npt.NDArray[np.floating]) -> Bins:
    """Make at most ten bins with about equal shares; fewer if values repeat, so that no two edges are equal."""
    levels = np.linspace(0, 1, NUMBER_BINS + 1)[1:-1]
    edges = np.unique(np.quantile(values, levels, method="inverted_cdf"))
    edges = edges[edges < values.max()]  # an edge at the maximum would leave the last bin empty
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return Bins(edges=[float(e) for e in edges], proportions=[float(p) for p in counts / len(values)])


def _bins(feature: Feature, values: npt.NDArray[np.float32]) -> Bins:
    if feature.is_category:
        counts = np.bincount(values.astype(int), minlength=len(feature.categories))
        return Bins(edges=None, proportions=[float(p) for p in counts / len(values)])
    if feature.type == "boolean":
        share = float(values.mean(dtype=np.float64))
        return Bins(edges=[0.5], proportions=[1 - share, share])
    return number_bins(values)


def reference(contract: Contract, features: Features, scores: Scores) -> Reference:
    """The distributions that drift is measured against.

    Args:
        features: all customers, coded, shape (rows, features).
        scores: of the holdout, which no fit has seen: a boosted model is more certain about the rows it was fitted on.
    """
    bins = {feature.name: _bins(feature, features[:, column]) for column, feature in enumerate(contract.features)}
    return Reference(rows=len(features), features=bins, score=number_bins(scores))


def explainer(contract: Contract, model: Pipeline, features: Features) -> Linear | Occlusion:
    """How each feature moves the logit: exact for a logistic regression, by occlusion for any other model.

    Args:
        features: the training customers, coded, shape (rows, features); contributions are measured from their mean.
    """
    if isinstance(classifier_parts(model)[0], LogisticRegression) and encoding_of(model) == "one_hot":
        return _linear(contract, model, features)
    return occlusion(contract, features)


def occlusion(contract: Contract, features: Features) -> Occlusion:
    """The explainer of any model: it compares with the typical one of these coded customers."""
    typical = [
        float(
            np.bincount(column.astype(int)).argmax()
            if feature.is_category or feature.type == "boolean"
            else np.median(column)
        )
        for feature, column in zip(contract.features, features.T, strict=True)
    ]
    return Occlusion(reference=typical)


def _linear(contract: Contract, model: Pipeline, features: Features) -> Linear:
    classifier, slope, offset = classifier_parts(model)
    # The calibrated logit is -(slope * f + offset) with f the classifier's own logit.
    weights = list(-slope * classifier.coef_[0])
    base = -(slope * float(classifier.intercept_[0]) + offset)
    parts = branches(contract)
    contributions: dict[str, list[float]] = {}
    for name in parts.get(CATEGORY_BRANCH, ()):
        column = contract.names.index(name)
        table = np.array([weights.pop(0) for _ in contract.features[column].categories])
        shares = np.bincount(features[:, column].astype(int), minlength=len(table)) / len(features)
        mean = float(table @ shares)
        base += mean
        contributions[name] = [float(w) for w in table - mean]
    if numbers := parts.get(NUMBER_BRANCH):
        scaler = model[ENCODE].named_transformers_[NUMBER_BRANCH][SCALE]
        for name, mean, scale in zip(numbers, scaler.mean_, scaler.scale_, strict=True):
            contributions[name] = [float(weights.pop(0) / scale), float(mean)]
    return Linear(base=base, contributions=contributions)


def git_revision() -> str | None:
    """The commit of this code, with ``-dirty`` when files differ from it; None outside a repository.

    An image has no repository: there ``CHURN_GIT_REVISION``, set when the image was built, holds it.
    """
    if stated := os.environ.get("CHURN_GIT_REVISION"):
        return stated
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(  # noqa: S603  # a fixed command
            command, capture_output=True, text=True, timeout=10, check=True, cwd=Path(__file__).parent
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a manifest says about a model, apart from its files."""

    contract: Contract
    medians: dict[str, float]
    model_name: str
    model_type: VersionType
    run_id: str
    git_revision: str | None
    dataset_sha256: str
    threshold: float
    metrics: dict[str, float]


def write_files(
    folder: Path,
    model: Pipeline,
    facts: Facts,
    *,
    train: Features,
    everyone: Features,
    holdout: pd.DataFrame,
    holdout_scores: Scores,
) -> bytes:
    """Write a bundle without its manifest into ``folder``; returns the graph, for the gates.

    Args:
        facts: their contract and medians are read.
        train: customers that the model was fitted on, coded.
        everyone: these and the holdout, coded.
        holdout: raw features of the held-out customers, blanks filled.
        holdout_scores: the native model's scores of these customers.
    """
    contract = facts.contract
    return write_parts(
        folder,
        to_onnx(model, contract),
        golden(facts, model, holdout, holdout_scores),
        reference(contract, everyone, holdout_scores),
        explainer(contract, model, train),
    )


def write_parts(
    folder: Path, graph: bytes, rows: Golden, distributions: Reference, explains: Linear | Occlusion
) -> bytes:
    """Write these files of a bundle into ``folder``; returns the graph."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL).write_bytes(graph)
    write_json(folder / GOLDEN, rows)
    write_json(folder / REFERENCE, distributions)
    write_json(folder / EXPLAIN, Explain(explainer=explains))
    return graph


def write_manifest(folder: Path, facts: Facts, results: list[GateResult]) -> str:
    """Seal a bundle: the digests of its files and the verdicts of its gates, under one digest, which is returned."""
    manifest = Manifest(
        contract_sha256=facts.contract.sha256,
        created_at=datetime.now(UTC),
        risk_bands=RiskBands.around(facts.threshold),
        gates=results,
        files={name: digest(folder / name) for name in BUNDLE_FILES},
        **vars(facts),
    )
    write_json(folder / MANIFEST, manifest)
    return sha256((folder / MANIFEST).read_bytes())
