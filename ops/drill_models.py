"""Whether restored models can be served: every bundle is loaded as the API loads it, golden rows included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from app.bundle import ARTIFACT_FOLDER, GOLDEN, BundleError, Golden
from app.model import load
from app.schemas import Customer, encode
from ops.backup_manifest import Version
from ops.backup_models import folder_of
from ops.errors import OpsError

PRODUCTION: Final = "production"


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What one version showed. Without a servable bundle, only that its files are there."""

    model: str
    version: int
    aliases: list[str]
    loaded: bool
    files: int
    golden_rows: int = 0
    largest_difference: float = 0.0
    """Between a golden score and the score of this machine."""


def prove(versions: Iterable[Version], artifacts: Path) -> list[Proof]:
    """Load every version.

    Raises:
        OpsError: one cannot be; all such are named.
    """
    proofs, failures = [], []
    for version in versions:
        try:
            proofs.append(_prove(version, artifacts))
        except (BundleError, OpsError) as error:
            failures.append(f"model {version.model} version {version.version}: {error}")
    if failures:
        raise OpsError("; ".join(failures))
    return proofs


def _prove(version: Version, artifacts: Path) -> Proof:
    place = folder_of(version)
    if place is None:
        raise OpsError(f"its artifacts are at {version.location}, outside of the store")
    folder = artifacts / place
    files = sum(path.is_file() for path in folder.rglob("*"))
    if not files:
        raise OpsError(f"there is nothing at {place}")
    if version.manifest_sha256 is None:
        if PRODUCTION in version.aliases:
            raise OpsError("it is in production and has no servable bundle")
        return Proof(model=version.model, version=version.version, aliases=version.aliases, loaded=False, files=files)
    served = folder / ARTIFACT_FOLDER
    model = load(served, manifest_sha256=version.manifest_sha256)
    golden = Golden.model_validate_json((served / GOLDEN).read_bytes())
    rows: list[dict[str, Any]] = [Customer.model_validate(row.customer).model_dump() for row in golden.rows]
    difference = np.abs(model.score(encode(rows)) - [row.score for row in golden.rows])
    return Proof(
        model=version.model,
        version=version.version,
        aliases=version.aliases,
        loaded=True,
        files=files,
        golden_rows=len(rows),
        largest_difference=float(difference.max()),
    )
