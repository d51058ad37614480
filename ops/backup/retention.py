"""Decides which backups have expired.

A backup expires when it is older than the days to keep *and* there is at least one newer backup of its kind for each of
those days. The second rule makes the clock harmless: if it jumped ahead by a year, everything would look old, and still
the newest backups would stay. The sequence, and not a clock, says which of two is newer, so a clock that is set back
does no harm either. All times are UTC, so months and summer time play no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from ops.backup.manifest import ArtifactsManifest, Manifest, PostgresManifest

M = TypeVar("M", bound=Manifest)


@dataclass(frozen=True, kw_only=True)
class Expired:
    """Backups to delete."""

    postgres: list[PostgresManifest]
    artifacts: list[ArtifactsManifest]


def expired(
    postgres: Sequence[PostgresManifest], artifacts: Sequence[ArtifactsManifest], *, now: datetime, keep_days: int
) -> Expired:
    """Choose what to delete of all finished backups.

    Beyond the two rules, the newest artifact backup without a broken version stays, and so does every dump that a
    staying artifact backup is tied to.
    """
    whole = [backup for backup in artifacts if not backup.broken]
    last_good = max(whole, key=lambda backup: backup.sequence, default=None)
    old_artifacts = {backup.id for backup in _old(artifacts, now, keep_days)} - {last_good.id if last_good else ""}
    needed = {backup.database.id for backup in artifacts if backup.id not in old_artifacts}
    return Expired(
        postgres=[dump for dump in _old(postgres, now, keep_days) if dump.id not in needed],
        artifacts=[backup for backup in artifacts if backup.id in old_artifacts],
    )


def _old(backups: Sequence[M], now: datetime, keep_days: int) -> list[M]:
    newest_first = sorted(backups, key=lambda backup: backup.sequence, reverse=True)
    limit, old, latest = now - timedelta(days=keep_days), [], now
    for newer, backup in enumerate(newest_first):
        # No backup is younger than one that was made after it, whatever the clock showed at the time.
        latest = min(latest, backup.finished_at)
        if newer >= max(keep_days, 1) and latest < limit:
            old.append(backup)
    return old
