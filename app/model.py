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
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import onnxruntime
from pydantic import BaseModel, TypeAdapter, ValidationError

from app import bundle
from app.bundle import BundleError, Golden, Manifest, Reference
from app.coding import Coder
from app.contract import Contract, Features, Scores
from app.customers import row_type
from app.decisions import Thresholds
from app.explain import Explain, Explained, Linear, Occlusion, explain
from app.verification import (
    check_explainer,
    check_file,
    check_override,
    check_reference,
    check_verdict,
    parse_manifest,
)

_M = TypeVar("_M", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a model came from: the registry's version, or a folder."""

    version: str
    source: str
    alias: str | None = None


def new_session(graph: bytes) -> onnxruntime.InferenceSession:
    """Open a session on one thread: the process has one core, and a spinning pool would take it from the event loop."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    # A graph may name other files for its weights, and ONNX Runtime would look for them in the working directory. No
    # digest covers those, so it is pointed to a device, below which there are no files.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True, kw_only=True)
class Model:
    """One loaded model, created by :func:`load`; immutable, so that a swap is one assignment."""

    manifest: Manifest
    contract: Contract
    coder: Coder
    thresholds: Thresholds
    origin: Origin
    reference: Reference
    explainer: Linear | Occlusion
    session: onnxruntime.InferenceSession
    fingerprint: bytes
    """The sha256 of the manifest; it distinguishes two models with the same version."""
    override_sha256: str = ""
    """Registered digest of the override that it was verified with; "" without an override."""
    loaded_at: float = field(default_factory=time.time)

    def score(self, features: Features) -> Scores:
        """Probability of churn of each coded customer; ``features`` has shape (rows, features).

        A customer's score is the same to the last bit in every batch. For a single row the kernels take another path,
        which may differ in the last bit, so one row is scored as two.
        """
        rows = len(features)
        batch = np.repeat(features, 2, axis=0) if rows == 1 else features
        output: npt.NDArray[np.float32] = self.session.run([bundle.OUTPUT_NAME], {bundle.INPUT_NAME: batch})[0]
        return output[:rows, 1].astype(np.float64)

    def explain(self, features: Features) -> Explained:
        """Contribution of each feature to the logit of one customer; ``features`` has shape (1, features)."""
        return explain(self.explainer, self.contract, features, self.score)


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
        origin: what the model is called in answers and metrics; by default a name from its digest, for a folder chosen
            by hand.
        manifest_sha256: registered digest of the manifest; None for a folder chosen by hand.
        override_sha256: registered digest of the override. Without it an override counts only in a folder chosen by
            hand.
        verdict_required: False also loads a version that its gates refused, to look at it, never to serve it.

    Raises:
        BundleError: the bundle must not be served; the message says which check failed.
    """
    manifest_bytes = _read(folder, bundle.MANIFEST, bundle.MAX_MANIFEST_BYTES)
    manifest = parse_manifest(manifest_bytes, manifest_sha256)
    fingerprint = bundle.sha256(manifest_bytes)
    if verdict_required:
        by_hand = manifest_sha256 is None
        check_verdict(manifest, fingerprint, _override(folder, override_sha256, by_hand=by_hand))
    files: dict[str, bytes] = {}
    for name, expected in manifest.files.items():
        files[name] = _read(folder, name, expected.bytes)
        check_file(name, files[name], expected)
    contract = manifest.customers
    model = Model(
        manifest=manifest,
        contract=contract,
        coder=Coder(contract, manifest.medians),
        thresholds=Thresholds.of(manifest),
        origin=origin or Origin(version=f"local-{fingerprint[:8]}", source="folder"),
        reference=check_reference(_parse(bundle.REFERENCE, files, Reference), contract),
        explainer=check_explainer(_parse(bundle.EXPLAIN, files, Explain).explainer, contract),
        session=_open(files[bundle.MODEL], contract),
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
    """Read the override that counts, if there is one."""
    if expected_sha256 is None and (not by_hand or not (folder / bundle.OVERRIDE).exists()):
        return None
    data = _read(folder, bundle.OVERRIDE, bundle.MAX_OVERRIDE_BYTES)
    if expected_sha256 is not None:
        check_override(data, expected_sha256)
    return data


def _parse(name: str, files: Mapping[str, bytes], kind: type[_M]) -> _M:
    try:
        return kind.model_validate_json(files[name])
    except ValidationError as error:
        raise BundleError(f"{name}: {error.errors()[0]['msg']}") from error


def _open(graph: bytes, contract: Contract) -> onnxruntime.InferenceSession:
    try:
        session = new_session(graph)
    except Exception as error:  # ONNX Runtime raises a dozen kinds without a common base
        raise BundleError(f"{bundle.MODEL}: ONNX Runtime refuses it: {str(error)[:200]}") from error
    inputs = [(i.name, i.type, i.shape[-1]) for i in session.get_inputs()]
    if inputs != [(bundle.INPUT_NAME, "tensor(float)", len(contract.features))]:
        raise BundleError(f"{bundle.MODEL}: takes {inputs}, not one float input of {len(contract.features)} columns")
    if bundle.OUTPUT_NAME not in [o.name for o in session.get_outputs()]:
        raise BundleError(f"{bundle.MODEL}: has no output named {bundle.OUTPUT_NAME}")
    return session


def _replay(model: Model, golden: Golden) -> None:
    rows: list[Any] = []
    customer = TypeAdapter[Any](row_type(model.contract))
    for i, row in enumerate(golden.rows):
        try:
            rows.append(customer.validate_python(row.customer))
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise BundleError(f"{bundle.GOLDEN}: row {i} is not a valid customer: {reason}") from error
    try:
        scores = model.score(model.coder.many(rows))
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
