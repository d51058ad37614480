"""Made-up manifests, for tests of code that reads nothing but manifests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.backup.manifest import MANIFEST, ArtifactsManifest, Manifest, PostgresManifest, Tie, render

START = datetime(2026, 1, 1, 2, 0, tzinfo=UTC)
SHA256 = "0" * 64


def backup_id(number: int) -> str:
    return f"20260101T020000Z-{number:06x}"


def dump_manifest(number: int, **more: Any) -> PostgresManifest:
    """The ``number``-th backup, a dump of nothing."""
    fields: dict[str, Any] = {
        "id": backup_id(number), "sequence": number, "started_at": START, "finished_at": START, "snapshot_at": START,
        "one_instant": True, "server_version": "15.1", "client_version": "15.1", "files": {}, "databases": [],
        "versions": [],
    }  # fmt: skip
    return PostgresManifest(**fields | more)


def artifacts_manifest(number: int, dump: int, **more: Any) -> ArtifactsManifest:
    """The ``number``-th backup, artifacts that are tied to a dump by its number."""
    fields: dict[str, Any] = {
        "id": backup_id(number), "sequence": number, "started_at": START, "finished_at": START, "files": {},
        "source": "/artifacts", "count": 0, "bytes": 0, "new_count": 0, "new_bytes": 0, "broken": [],
        "database": Tie(id=backup_id(dump), manifest_sha256=SHA256),
    }  # fmt: skip
    return ArtifactsManifest(**fields | more)


def write_manifest(root: Path, manifest: Manifest) -> Path:
    """Write a manifest as a finished backup has it; returns the backup's folder."""
    folder = root / manifest.kind / manifest.id
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_bytes(render(manifest))
    return folder
