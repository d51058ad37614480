"""A verified model in memory: scoring, decisions and explanations with ONNX Runtime.

Neither pandas nor MLflow is imported, and no code comes from a model. Every byte is checked before it is used:
:func:`load` reads a bundle's files, compares them with the manifest, builds the session from the very bytes that were
checked and replays the golden rows. A model that fails any of it never serves.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import onnxruntime
from pydantic import BaseModel, TypeAdapter, ValidationError

from app import bundle
from app.bundle import Bins, BundleError, Explain, Golden, Linear, Manifest, Occlusion, Reference
from app.schemas import FEATURE_NAMES, FEATURES, SCHEMA_VERSION, Customer, Features, encode

Scores = npt.NDArray[np.float64]
"""Probabilities of churn, shape (rows,)."""

DECISIONS: Final = ("stay", "churn")
RISK_BANDS: Final = ("low", "medium", "high")

_CUSTOMER: Final = TypeAdapter(Customer)
_M = TypeVar("_M", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a model came from: the registry's version, or a folder."""

    version: str
    source: str
    alias: str | None = None


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Contributions to the logit, by feature; see :class:`app.bundle.Linear` and :class:`app.bundle.Occlusion`."""

    method: str
    base: float
    contributions: dict[str, float]


def new_session(graph: bytes) -> onnxruntime.InferenceSession:
    """A session on one thread: the process has one core, and a spinning pool would take it from the event loop."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    # A graph may name other files for its weights, and ONNX Runtime would look for them in the working directory. No
    # digest covers those: below a device there is nothing to find.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True, kw_only=True)
class Model:
    """One loaded model. Made by :func:`load`; immutable, so a swap is one assignment."""

    manifest: Manifest
    origin: Origin
    reference: Reference
    explainer: Linear | Occlusion
    session: onnxruntime.InferenceSession
    fingerprint: bytes
    """The sha256 of the manifest: tells two models apart that carry the same version."""
    override_sha256: str = ""
    """Of the override that it was verified with, as registered; "" without one."""
    loaded_at: float = field(default_factory=time.time)

    def score(self, features: Features) -> Scores:
        """Probability of churn of each coded customer; ``features`` has shape (rows, 19).

        A customer's score is the same to the last bit in every batch. For one row alone the kernels take another
        path, which may differ in the last bit, so a single row is scored as two.
        """
        rows = len(features)
        given = np.repeat(features, 2, axis=0) if rows == 1 else features
        output: npt.NDArray[np.float32] = self.session.run([bundle.OUTPUT_NAME], {bundle.INPUT_NAME: given})[0]
        return output[:rows, 1].astype(np.float64)

    def decision(self, score: float) -> str:
        """``churn`` at or above the threshold that the cost model chose, else ``stay``."""
        return "churn" if score >= self.manifest.threshold else "stay"

    def band(self, score: float) -> str:
        bands = self.manifest.risk_bands
        return "high" if score >= bands.high else "medium" if score >= bands.medium else "low"

    def explain(self, features: Features) -> Explanation:
        """Contribution of each feature to the logit of one customer; ``features`` has shape (1, 19)."""
        if isinstance(self.explainer, Linear):
            return _explain_linear(self.explainer, features[0])
        return self._explain_by_occlusion(self.explainer, features)

    def _explain_by_occlusion(self, explainer: Occlusion, features: Features) -> Explanation:
        rows = np.repeat(features, len(FEATURES) + 2, axis=0)
        reference = np.asarray(explainer.reference, dtype=np.float32)
        np.fill_diagonal(rows[: len(FEATURES)], reference)
        rows[-1] = reference
        logits = [_logit(float(p)) for p in self.score(rows)]
        whole = logits[-2]
        contributions = {name: whole - logits[i] for i, name in enumerate(FEATURE_NAMES)}
        return Explanation(method=explainer.method, base=logits[-1], contributions=contributions)


def _explain_linear(explainer: Linear, row: npt.NDArray[np.float32]) -> Explanation:
    contributions = {}
    for feature, value in zip(FEATURES, row.tolist(), strict=True):
        weights = explainer.contributions[feature.name]
        if feature.is_category:
            contributions[feature.name] = weights[int(value)]
        else:
            slope, centre = weights
            contributions[feature.name] = slope * (value - centre)
    return Explanation(method=explainer.method, base=explainer.base, contributions=contributions)


def _logit(p: float) -> float:
    p = min(max(p, 1e-7), 1 - 1e-7)
    return math.log(p / (1 - p))


def load(
    folder: Path,
    origin: Origin | None = None,
    *,
    manifest_sha256: str | None = None,
    override_sha256: str | None = None,
    verdict_required: bool = True,
) -> Model:
    """Verify a bundle and load it.

    Args:
        folder: the bundle; files that its manifest does not name are never opened.
        origin: what the model is called in answers and metrics; a name from its digest for a folder chosen by hand.
        manifest_sha256: digest of the manifest as registered; None where there is no registry to know it.
        override_sha256: digest of the override as registered. Without it an override counts only where there is no
            registry to know it: in a folder chosen by hand.
        verdict_required: False loads a version that its gates refused too: to look at it, never to serve it.

    Raises:
        BundleError: the bundle must not be served; the message says which check failed.
    """
    manifest_bytes = _read(folder, bundle.MANIFEST, bundle.MAX_MANIFEST_BYTES)
    manifest = bundle.parse_manifest(manifest_bytes, manifest_sha256)
    if manifest.schema_version != SCHEMA_VERSION:
        raise BundleError(f"made for customer schema {manifest.schema_version}; this process has {SCHEMA_VERSION}")
    fingerprint = bundle.sha256(manifest_bytes)
    if verdict_required:
        by_hand = manifest_sha256 is None
        bundle.check_verdict(manifest, fingerprint, _override(folder, override_sha256, by_hand=by_hand))
    files: dict[str, bytes] = {}
    for name, expected in manifest.files.items():
        files[name] = _read(folder, name, expected.bytes)
        bundle.check_file(name, files[name], expected)
    model = Model(
        manifest=manifest,
        origin=origin or Origin(version=f"local-{fingerprint[:8]}", source="folder"),
        reference=_checked_reference(_parse(bundle.REFERENCE, files, Reference)),
        explainer=_checked_explainer(_parse(bundle.EXPLAIN, files, Explain).explainer),
        session=_open(files[bundle.MODEL]),
        fingerprint=bytes.fromhex(fingerprint),
        override_sha256=override_sha256 or "",
    )
    _replay(model, _parse(bundle.GOLDEN, files, Golden))
    return model


def _read(folder: Path, name: str, limit: int) -> bytes:
    try:
        with (folder / name).open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise BundleError(f"{name}: {error.strerror} in {folder}") from error


def _override(folder: Path, expected_sha256: str | None, *, by_hand: bool) -> bytes | None:
    """The override that counts, if there is one."""
    if expected_sha256 is None and (not by_hand or not (folder / bundle.OVERRIDE).exists()):
        return None
    data = _read(folder, bundle.OVERRIDE, bundle.MAX_OVERRIDE_BYTES)
    if expected_sha256 is not None:
        bundle.check_override(data, expected_sha256)
    return data


def _parse(name: str, files: Mapping[str, bytes], kind: type[_M]) -> _M:
    try:
        return kind.model_validate_json(files[name])
    except ValidationError as error:
        raise BundleError(f"{name}: {error.errors()[0]['msg']}") from error


def _open(graph: bytes) -> onnxruntime.InferenceSession:
    try:
        session = new_session(graph)
    except Exception as error:  # ONNX Runtime raises a dozen kinds, none with a common base
        raise BundleError(f"{bundle.MODEL}: ONNX Runtime refuses it: {str(error)[:200]}") from error
    inputs = [(i.name, i.type, i.shape[-1]) for i in session.get_inputs()]
    if inputs != [(bundle.INPUT_NAME, "tensor(float)", len(FEATURES))]:
        raise BundleError(f"{bundle.MODEL}: takes {inputs}, not one float input of {len(FEATURES)} columns")
    if bundle.OUTPUT_NAME not in [o.name for o in session.get_outputs()]:
        raise BundleError(f"{bundle.MODEL}: has no output named {bundle.OUTPUT_NAME}")
    return session


def _checked_reference(reference: Reference) -> Reference:
    for feature in FEATURES:
        bins = reference.features.get(feature.name)
        if bins is None or not _usable(bins, len(feature.categories)):
            raise BundleError(f"{bundle.REFERENCE}: no usable bins for {feature.name}")
    if not _usable(reference.score, 0):
        raise BundleError(f"{bundle.REFERENCE}: no usable bins for the score")
    return reference


def _usable(bins: Bins, categories: int) -> bool:
    """Whether every value of a feature with so many categories, 0 for a number, has its bin."""
    if categories:
        return bins.edges is None and len(bins.proportions) == categories
    edges = bins.edges
    return edges is not None and edges == sorted(edges) and len(bins.proportions) == len(edges) + 1


def _checked_explainer(explainer: Linear | Occlusion) -> Linear | Occlusion:
    if isinstance(explainer, Linear):
        sizes = {f.name: len(f.categories) or 2 for f in FEATURES}
        if {name: len(weights) for name, weights in explainer.contributions.items()} != sizes:
            raise BundleError(f"{bundle.EXPLAIN}: its contributions do not fit the features")
    elif len(explainer.reference) != len(FEATURES):
        raise BundleError(f"{bundle.EXPLAIN}: {len(explainer.reference)} reference values, not {len(FEATURES)}")
    return explainer


def _replay(model: Model, golden: Golden) -> None:
    rows: list[dict[str, Any]] = []
    for i, row in enumerate(golden.rows):
        try:
            rows.append(_CUSTOMER.validate_python(row.customer).model_dump())
        except ValidationError as error:
            raise BundleError(f"{bundle.GOLDEN}: row {i} is no customer: {error.errors()[0]['msg']}") from error
    try:
        scores = model.score(encode(rows))
    except Exception as error:  # a graph may fail in any operator
        raise BundleError(f"{bundle.MODEL}: fails on the golden rows: {str(error)[:200]}") from error
    if scores.shape != (len(rows),):
        raise BundleError(f"{bundle.MODEL}: gives scores of shape {scores.shape} for {len(rows)} golden rows")
    difference = np.abs(scores - [row.score for row in golden.rows])
    if not np.all(difference <= bundle.GOLDEN_TOLERANCE):
        worst = int(np.argmax(np.nan_to_num(difference, nan=math.inf)))
        raise BundleError(
            f"{bundle.MODEL}: golden row {worst} scores {scores[worst]:.8f}, "
            f"expected {golden.rows[worst].score:.8f} (tolerance {bundle.GOLDEN_TOLERANCE:g})"
        )
