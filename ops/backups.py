"""Finished backups, as their folders tell: `<root>/<kind>/<id>/manifest.json`.

A manifest is written last. It has at least ``"complete": true`` and ``"finished_at"``, an RFC 3339 time in UTC; a
folder without one is a backup that is still under way or was broken off, and counts for nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

MANIFEST: Final = "manifest.json"
POSTGRES: Final = "postgres"


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A finished backup."""

    folder: Path
    finished_at: datetime


def latest(root: Path, kind: str) -> Backup | None:
    """The complete backup of that kind that finished last; None if there is none."""
    found = [_read(path) for path in sorted((root / kind).glob(f"*/{MANIFEST}"))]
    return max((backup for backup in found if backup), key=lambda backup: backup.finished_at, default=None)


def _read(path: Path) -> Backup | None:
    try:
        manifest = json.loads(path.read_text("utf-8"))
        if manifest["complete"] is not True:
            return None
        finished_at = datetime.fromisoformat(manifest["finished_at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if finished_at.tzinfo is None:
        return None
    return Backup(folder=path.parent, finished_at=finished_at.astimezone(UTC))
