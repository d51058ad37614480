"""A person's decision to serve a version in spite of its gates, as `churn promote --override` records it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from app.bundle import MANIFEST, OVERRIDE, Override, sha256, write_json


def override(bundle: Path, gates: Sequence[str], *, manifest_sha256: str | None = None) -> str:
    """Write an override beside a bundle's manifest, for that one or the one with this digest; returns its sha256."""
    decision = Override(
        manifest_sha256=manifest_sha256 or sha256((bundle / MANIFEST).read_bytes()),
        gates=list(gates),
        reason="the old model is worse still",
        actor="ann",
        at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    write_json(bundle / OVERRIDE, decision)
    return sha256((bundle / OVERRIDE).read_bytes())
