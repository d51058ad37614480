"""The format of a servable model: what training writes beside the native model and serving verifies.

A bundle is one folder. Its ``manifest.json`` names every other file with size and sha256, and the registry keeps the
sha256 of the manifest itself (version tag ``manifest_sha256``), so a changed, truncated or exchanged file is detected
before anything is loaded. Nothing in a bundle is code: ONNX and JSON only.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.contract import Contract
from app.names import PRODUCTION, STAGING
from app.schemas import SCHEMA_VERSION, telco

MANIFEST: Final = "manifest.json"
MODEL: Final = "model.onnx"
GOLDEN: Final = "golden.json"
REFERENCE: Final = "reference.json"
EXPLAIN: Final = "explain.json"
BUNDLE_FILES: Final = (MODEL, GOLDEN, REFERENCE, EXPLAIN)

ARTIFACT_FOLDER: Final = "serving"
"""Folder of the bundle among a registered version's artifacts."""
MANIFEST_TAG: Final = "manifest_sha256"
"""Version tag that carries the sha256 of the manifest: the root of a bundle's integrity."""
OVERRIDE: Final = "override.json"
"""Beside the manifest: a person's decision to serve a version that its gates refused (:class:`Override`)."""
OVERRIDE_TAG: Final = "override_sha256"
"""Version tag that carries the sha256 of that file; a tag or a file alone overrides nothing."""
BREAKS_TAG: Final = "breaks_contract"
"""Version tag that carries the sha256 of a contract whose clients this version may break: a person decided so."""
MAX_OVERRIDE_BYTES: Final = 64 * 1024
STAGE_TAG: Final = "stage"
"""Version tag with a word for people, which ``churn`` sets before it moves an alias."""
STAGES: Final = {PRODUCTION: "Production", STAGING: "Staging"}
"""Value of that tag for a version that ``churn`` put behind an alias, by alias; other aliases have none."""

INPUT_NAME: Final = "features"
"""The graph's one input: float32 (rows, features), as :class:`app.coding.Coder` makes it."""
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


class NoAnswerError(Exception):
    """The registry gave the API no usable answer; the message says what was asked and what to look at."""


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A registered version that can be served."""

    version: str
    manifest_sha256: str
    """Value of its tag; "" without the tag, and then the version is refused."""
    override_sha256: str = ""
    """Value of its tag; "" if nobody overrode the gates for it."""
    breaks_sha256: str = ""
    """Value of its tag :data:`BREAKS_TAG`; "" if it may break nobody."""
    by_hand: bool = False
    """The alias was moved to it outside of `churn`: its tag `stage` is not the one that :data:`STAGES` has for the
    alias."""
    artifact_path: str
    """Path of the version's artifacts behind the tracking server's artifact proxy."""


class Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Probability = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileDigest(Frozen):
    """Size in bytes and sha256 of one file."""

    bytes: Annotated[int, Field(ge=1, le=MAX_FILE_BYTES)]
    sha256: Sha256


class RiskBands(Frozen):
    """Lower ends of the bands "medium" and "high"; below ``medium`` the band is "low"."""

    medium: Probability
    high: Probability

    @classmethod
    def around(cls, threshold: float) -> RiskBands:
        """Derive the bands from a decision threshold: "low" gets no offer, "high" is the upper half of the rest.

        So a decision and a band never contradict each other.
        """
        return cls(medium=threshold, high=(1 + threshold) / 2)


class GateResult(Frozen):
    """The verdict of one gate at training.

    ``value`` and ``limit`` are None if the gate does not apply; it then passes and says why. ``needs`` names the option
    by which a person takes responsibility at promotion, if a gate passes but cannot decide alone.
    """

    name: str
    passed: bool
    detail: str
    value: float | None = None
    limit: float | None = None
    needs: str | None = None

    def __str__(self) -> str:
        word = "passed" if self.passed else "REFUSED"
        return f"{word}: {self.detail}" + (f". To promote it, add {self.needs}" if self.needs else "")


class Override(Frozen):
    """The decision to serve a version that gates refused: whose it is, and why. Its digest binds it to one manifest."""

    manifest_sha256: Sha256
    gates: list[str]
    """Names of the gates that are overridden; empty for a version that has no verdict at all."""
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    actor: str
    at: datetime


class Manifest(Frozen):
    """What a bundle is, where it comes from, the digests of its files, and the verdicts of its gates.

    ``gates`` is None in a bundle of an old release, which stored verdicts only in editable tags.
    """

    format: Literal[1, 2] = 2
    schema_version: int | None = None
    """Format 1 only: 1, for the customers of :func:`app.schemas.telco`."""
    contract: Contract | None = None
    contract_sha256: Sha256 | None = None
    medians: dict[str, float] = Field(default_factory=dict)
    """Median of the training rows of each feature whose blanks count as one."""
    model_name: str
    model_type: Literal["logistic_regression", "gradient_boosting", "xgboost", "lightgbm", "custom", "foreign"]
    """Kind of the classifier; ``custom`` is one of the trainer's own, and a ``foreign`` model was trained elsewhere.
    Serving runs the graph and does not ask."""
    created_at: datetime
    run_id: str
    git_revision: str | None
    dataset_sha256: Sha256
    threshold: Probability
    risk_bands: RiskBands
    metrics: dict[str, float]
    gates: list[GateResult] | None = None
    files: dict[Literal["model.onnx", "golden.json", "reference.json", "explain.json"], FileDigest]

    @model_validator(mode="after")
    def _of_its_format(self) -> Manifest:
        if self.format == 1:
            if self.schema_version != SCHEMA_VERSION:
                raise ValueError(f"made for customer schema {self.schema_version}; this process has {SCHEMA_VERSION}")
            if self.contract or self.contract_sha256 or self.medians:
                raise ValueError("a manifest of format 1 has no contract")
            return self
        if self.contract is None or self.contract_sha256 != self.contract.sha256:
            raise ValueError("contract: its sha256 is not contract_sha256")
        medians = {f.name for f in self.contract.features if f.blank == "median"}
        if medians != self.medians.keys():
            raise ValueError(f"medians: of {sorted(self.medians)}, not of {sorted(medians)}")
        return self

    @property
    def customers(self) -> Contract:
        """The contract of the customers that the model scores."""
        return self.contract or telco()

    @property
    def refusals(self) -> list[GateResult]:
        return [gate for gate in self.gates or [] if not gate.passed]


class GoldenRow(Frozen):
    """One customer, as a client would send it, and the score the model must give."""

    customer: dict[str, str | bool | int | float | None]
    score: Probability


class Golden(Frozen):
    rows: Annotated[list[GoldenRow], Field(min_length=1, max_length=1000)]


class Bins(Frozen):
    """A reference distribution: ``proportions[i]`` of the training rows fell into bin ``i``.

    ``edges`` are the inner edges of a number's bins, ascending: bin i holds edges[i-1] < x <= edges[i], with no
    lower end for the first and no upper end for the last, so len(proportions) == len(edges) + 1. A category
    has no edges: bin i is category i of the contract.
    """

    edges: list[float] | None
    proportions: list[Probability]


class Reference(Frozen):
    """The distributions that drift is measured against."""

    rows: int
    features: dict[str, Bins]
    score: Bins


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest(path: Path) -> FileDigest:
    """Size and sha256 of a file."""
    data = path.read_bytes()
    return FileDigest(bytes=len(data), sha256=sha256(data))


def write_json(path: Path, model: BaseModel) -> None:
    """Write a model of this module in a stable form (sorted keys, one line per key)."""
    path.write_text(json.dumps(model.model_dump(mode="json"), indent=1, sort_keys=True) + "\n", encoding="utf-8")
