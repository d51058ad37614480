"""Proves that restored models can be served: every bundle is loaded as the API loads it, golden rows included.

Versions that their gates refused are loaded too, since people may want to look at them. But the version in production
must be allowed to serve, or the restored API would start without a model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from app.bundle import ARTIFACT_FOLDER, GOLDEN, MAX_OVERRIDE_BYTES, OVERRIDE, BundleError, Golden
from app.customers import row_type
from app.model import Model, load
from app.names import PREVIOUS, PRODUCTION
from app.verification import check_verdict
from ops.backup.manifest import Version
from ops.backup.models import folder_of
from ops.errors import OpsError


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What was proven of one version; without a servable bundle, only that it has files."""

    model: str
    version: int
    aliases: list[str]
    loaded: bool
    files: int
    golden_rows: int = 0
    largest_difference: float = 0.0
    """The largest difference between a golden score and this machine's score."""
    refusal: str | None = None
    """Why the API would not serve it although it can be loaded; None if it would."""

    @property
    def words(self) -> str:
        """The proof in one line."""
        aliases = f" ({', '.join(self.aliases)})" if self.aliases else ""
        name = f"{self.model} version {self.version}{aliases}"
        if not self.loaded:
            return f"{name}: {self.files} files; it has no servable bundle to load"
        line = f"{name}: loaded, {self.golden_rows} golden rows within {self.largest_difference:.1e}"
        if self.refusal is None:
            return line
        meaning = "a rollback to it would be refused" if PREVIOUS in self.aliases else "it would not be served"
        return f"{line}; {meaning}: {self.refusal}"


def prove(versions: Iterable[Version], artifacts: Path) -> list[Proof]:
    """Load every version.

    Raises:
        OpsError: one cannot be loaded, or is in production and must not be served; it names all of them.
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
        raise OpsError(f"its artifacts are at {version.location}, outside the artifact store")
    folder = artifacts / place
    files = sum(path.is_file() for path in folder.rglob("*"))
    if not files:
        raise OpsError(f"there is nothing at {place}")
    if version.manifest_sha256 is None:
        if PRODUCTION in version.aliases:
            raise OpsError("it is in production and has no servable bundle")
        return Proof(model=version.model, version=version.version, aliases=version.aliases, loaded=False, files=files)
    served = folder / ARTIFACT_FOLDER
    model = load(served, manifest_sha256=version.manifest_sha256, verdict_required=False)
    refusal = _refusal(served, model)
    if refusal is not None and PRODUCTION in version.aliases:
        raise OpsError(f"it is in production and must not be served: {refusal}")
    golden = Golden.model_validate_json((served / GOLDEN).read_bytes())
    customer = TypeAdapter[Any](row_type(model.contract))
    rows = [customer.validate_python(row.customer) for row in golden.rows]
    difference = np.abs(model.score(model.coder.many(rows)) - [row.score for row in golden.rows])
    return Proof(
        model=version.model,
        version=version.version,
        aliases=version.aliases,
        loaded=True,
        files=files,
        golden_rows=len(rows),
        largest_difference=float(difference.max()),
        refusal=refusal,
    )


def _refusal(served: Path, model: Model) -> str | None:
    """Why the API would refuse a version because of its gates; None if it would not.

    An override counts without its digest, which is a tag in the dump that is not read here.
    """
    override = None
    if (served / OVERRIDE).exists():
        with (served / OVERRIDE).open("rb") as file:
            override = file.read(MAX_OVERRIDE_BYTES + 1)
    try:
        check_verdict(model.manifest, model.fingerprint.hex(), override)
    except BundleError as error:
        return str(error)
    return None
