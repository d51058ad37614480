"""The format of a servable model: what training writes beside the native model and serving verifies.

A bundle is one folder. Its ``manifest.json`` names every other file with size and sha256, and the
registry keeps the sha256 of the manifest itself (version tag ``manifest_sha256``), so a changed,
cut or exchanged file is found before anything is loaded. Nothing in a bundle is code: ONNX and JSON only.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MANIFEST: Final = "manifest.json"
MODEL: Final = "model.onnx"
GOLDEN: Final = "golden.json"
REFERENCE: Final = "reference.json"
EXPLAIN: Final = "explain.json"
BUNDLE_FILES: Final = (MODEL, GOLDEN, REFERENCE, EXPLAIN)

ARTIFACT_FOLDER: Final = "serving"
"""Where a bundle lies inside a registered version's artifacts."""
MANIFEST_TAG: Final = "manifest_sha256"
"""Version tag that carries the sha256 of the manifest: the root of a bundle's integrity."""
OVERRIDE: Final = "override.json"
"""Beside the manifest: a person's decision to serve a version that its gates refused (:class:`Override`)."""
OVERRIDE_TAG: Final = "override_sha256"
"""Version tag that carries the sha256 of that file; a tag or a file alone overrides nothing."""
MAX_OVERRIDE_BYTES: Final = 64 * 1024
STAGE_TAG: Final = "stage"
"""Version tag with a word for people, which ``churn`` sets before it moves an alias."""
STAGES: Final = {"production": "Production", "staging": "Staging"}
"""What that tag says of a version that ``churn`` put behind an alias; it says nothing of other aliases."""

INPUT_NAME: Final = "features"
"""The graph's one input: float32 (rows, 19), as :func:`app.schemas.encode` makes it."""
OUTPUT_NAME: Final = "probabilities"
"""The output that is read: float32 (rows, 2); column 1 is the probability of churn."""

GOLDEN_TOLERANCE: Final = 1e-5
"""Largest difference between a golden score and the same row scored on this machine (float32 kernels differ)."""
MAX_FILE_BYTES: Final = 256 * 1024 * 1024
MAX_MANIFEST_BYTES: Final = 1024 * 1024


class BundleError(Exception):
    """A bundle that must not be served; the message says which file and why."""


class VerdictError(BundleError):
    """An intact bundle whose gates refused it, and for which nobody took responsibility."""


class RegistryError(Exception):
    """The registry gave no usable answer; the message says what was asked and what to look at."""


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A registered version that can be served."""

    version: str
    manifest_sha256: str
    """As its tag says; "" without one, and then it is refused."""
    override_sha256: str = ""
    """As its tag says; "" for a version that nobody overrode the gates for."""
    by_hand: bool = False
    """The alias was moved to it outside of `churn`: its tag `stage` does not say what :data:`STAGES` has for it."""
    artifact_path: str
    """Path of the version's artifacts behind the tracking server's artifact proxy."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Probability = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileDigest(_Frozen):
    """Size in bytes and sha256 of one file."""

    bytes: Annotated[int, Field(ge=1, le=MAX_FILE_BYTES)]
    sha256: Sha256


class RiskBands(_Frozen):
    """Lower ends of the bands "medium" and "high"; below ``medium`` the band is "low"."""

    medium: Probability
    high: Probability

    @classmethod
    def around(cls, threshold: float) -> RiskBands:
        """The bands of a decision threshold: "low" is who gets no offer, "high" the upper half of the rest.

        So a decision and a band never seem to contradict each other.
        """
        return cls(medium=threshold, high=(1 + threshold) / 2)


class GateResult(_Frozen):
    """The verdict of one gate at training.

    ``value`` and ``limit`` are None where the gate does not apply; it then passes and says why. ``needs`` is the option
    by which a person takes responsibility at promotion where a gate passes, but cannot decide alone.
    """

    name: str
    passed: bool
    detail: str
    value: float | None = None
    limit: float | None = None
    needs: str | None = None

    def __str__(self) -> str:
        word = "passed" if self.passed else "REFUSED"
        return f"{word}: {self.detail}" + (f". To promote it, say {self.needs}" if self.needs else "")


class Override(_Frozen):
    """Who serves a version in spite of the gates that refused it, and why; bound to one manifest by its digest."""

    manifest_sha256: Sha256
    gates: list[str]
    """Names of the gates that are overridden; empty for a version that has no verdict at all."""
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    actor: str
    at: datetime


class Manifest(_Frozen):
    """What a bundle is, where it came from, the digest of each of its files, and the verdict of its gates.

    ``gates`` is None in a bundle of a release that kept verdicts in editable tags only.
    """

    format: Literal[1] = 1
    schema_version: int
    model_name: str
    model_type: Literal["logistic_regression", "gradient_boosting"]
    created_at: datetime
    run_id: str
    git_revision: str | None
    dataset_sha256: Sha256
    threshold: Probability
    risk_bands: RiskBands
    metrics: dict[str, float]
    gates: list[GateResult] | None = None
    files: dict[Literal["model.onnx", "golden.json", "reference.json", "explain.json"], FileDigest]

    @property
    def refusals(self) -> list[GateResult]:
        return [gate for gate in self.gates or [] if not gate.passed]


class GoldenRow(_Frozen):
    """One customer, as a client would send it, and the score the model must give."""

    customer: dict[str, str | int | float | None]
    score: Probability


class Golden(_Frozen):
    rows: Annotated[list[GoldenRow], Field(min_length=1, max_length=1000)]


class Bins(_Frozen):
    """A reference distribution: ``proportions[i]`` of the training rows fell into bin ``i``.

    ``edges`` are the inner edges of a number's bins, ascending: bin i holds edges[i-1] < x <= edges[i], with no
    lower end for the first and no upper end for the last, so len(proportions) == len(edges) + 1. A category
    has no edges: bin i is category i of :data:`app.schemas.FEATURES`.
    """

    edges: list[float] | None
    proportions: list[Probability]


class Reference(_Frozen):
    """The distributions that drift is measured against."""

    rows: int
    features: dict[str, Bins]
    score: Bins


class Linear(_Frozen):
    """A model whose logit is ``base`` plus one contribution per feature, exactly.

    ``contributions[f]`` is, for a category, a table by code; for a number ``[slope, centre]``, giving
    slope * (x - centre). Contributions are measured from the training mean: ``base`` is the logit of the
    average customer.
    """

    method: Literal["linear"] = "linear"
    base: float
    contributions: dict[str, list[float]]


class Occlusion(_Frozen):
    """For any other model: a feature's contribution is the change of the logit when it is set to ``reference``.

    ``reference`` holds the coded median or most frequent value of each feature, in the order of FEATURES. The
    contributions need not add up to the logit.
    """

    method: Literal["occlusion"] = "occlusion"
    reference: list[float]


class Explain(_Frozen):
    explainer: Annotated[Linear | Occlusion, Field(discriminator="method")]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest(path: Path) -> FileDigest:
    """Size and sha256 of a file."""
    data = path.read_bytes()
    return FileDigest(bytes=len(data), sha256=sha256(data))


def write_json(path: Path, model: BaseModel) -> None:
    """Write a model of this module in a stable form (sorted keys, one line per key)."""
    path.write_text(json.dumps(model.model_dump(mode="json"), indent=1, sort_keys=True) + "\n", encoding="utf-8")


def check_file(name: str, data: bytes, expected: FileDigest) -> None:
    """Raise :class:`BundleError` unless ``data`` is the file the manifest speaks of."""
    if len(data) != expected.bytes:
        raise BundleError(f"{name}: {len(data)} bytes, the manifest says {expected.bytes}")
    if sha256(data) != expected.sha256:
        raise BundleError(f"{name}: its sha256 is not the one in the manifest")


def check_override(data: bytes, expected_sha256: str) -> None:
    """Raise :class:`BundleError` unless these bytes are the registered override."""
    if sha256(data) != expected_sha256:
        raise BundleError(f"{OVERRIDE}: its sha256 is not the registered one ({OVERRIDE_TAG})")


def parse_manifest(data: bytes, expected_sha256: str | None) -> Manifest:
    """Parse a manifest, after its own digest when the registry gave one.

    Raises:
        BundleError: another manifest than the registered one, not a manifest, or a file missing from it.
    """
    if expected_sha256 is not None and sha256(data) != expected_sha256:
        raise BundleError(f"{MANIFEST}: its sha256 is not the registered one ({MANIFEST_TAG})")
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise BundleError(f"{MANIFEST}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if missing := [name for name in BUNDLE_FILES if name not in manifest.files]:
        raise BundleError(f"{MANIFEST}: names no {', '.join(missing)}")
    return manifest


def check_verdict(manifest: Manifest, manifest_sha256: str, override: bytes | None) -> None:
    """Raise :class:`BundleError` unless every gate passed, or a person overrode those that did not.

    This holds off versions that nobody decided to serve: an alias or a tag changed on a web page, a rollback to a
    version that was never allowed. It does not hold off who can write artifacts and tags alike.

    Args:
        override: the bytes of :data:`OVERRIDE`, already held against its registered digest; None without one.
    """
    if override is not None and len(override) > MAX_OVERRIDE_BYTES:
        raise BundleError(f"{OVERRIDE}: larger than the {MAX_OVERRIDE_BYTES} bytes it may have")
    refused = [gate.name for gate in manifest.refusals]
    if manifest.gates and not refused:
        return
    why = (
        "its gates refused it: " + "; ".join(f"{gate.name}: {gate.detail}" for gate in manifest.refusals)
        if refused
        else "its manifest records no verdict of its gates"
    )
    if override is None:
        raise VerdictError(f"{why}. Only `churn promote --version N --override REASON` puts it into service")
    try:
        decision = Override.model_validate_json(override)
    except ValidationError as error:
        raise BundleError(f"{OVERRIDE}: {error.errors()[0]['msg']}") from error
    if decision.manifest_sha256 != manifest_sha256:
        raise VerdictError(f"{OVERRIDE}: it is about another manifest; {why}")
    if missing := [name for name in refused if name not in decision.gates]:
        raise VerdictError(f"{OVERRIDE}: does not speak of gate {', '.join(missing)}; {why}")
