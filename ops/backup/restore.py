"""Restores a backup.

The manifest and everything it names are checked first. Databases and artifacts are restored beside their places,
compared with what was dumped, and then put in place; a target that is not empty is refused unless the operator says to
replace it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from ops.backup import restore_artifacts, restore_postgres
from ops.backup.catalog import Catalog, Pair
from ops.backup.options import LATEST, RestoreOptions
from ops.backup.postgres_client import conninfo, wait_for
from ops.backup.root import reading
from ops.backup.storage import S3, open_backups
from ops.backup.storage.base import Storage
from ops.backup.storage.folder import FolderStorage
from ops.backup.verify import Checked, require_whole, verify
from ops.errors import OpsError

Say = Callable[[str], None]


@dataclass(kw_only=True)
class Result:
    """What was restored."""

    pair: Pair
    checked: Checked
    databases: list[restore_postgres.Restored] = field(default_factory=list)
    artifacts_before: str | None = None
    """Name of the folder that holds the artifacts which were replaced."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Duration of each stage."""


def restore(options: RestoreOptions, say: Say) -> Result:
    """Restore a backup; when this raises, the targets are as they were.

    Raises:
        OpsError: the backup is damaged, a target is not empty, or what was restored is not what was backed up.
    """
    if options.server is None and options.artifacts is None:
        raise OpsError("nothing to restore: name a server (--to), a place for the artifacts (--artifacts-to), or both")
    storage = open_backups(options.source, options.as_of)
    if options.server is not None:
        wait_for(conninfo(options.server, restore_postgres.MAINTENANCE), options.wait_seconds)
    with (
        reading(storage.root) if isinstance(storage, FolderStorage) else nullcontext(),
        tempfile.TemporaryDirectory(prefix="churn-restore-", dir=options.scratch) as scratch,
    ):
        return _restore(options, storage, Path(scratch), say)


def _restore(options: RestoreOptions, storage: Storage, scratch: Path, say: Say) -> Result:
    pair = _pair(Catalog(storage), options)
    if options.artifacts is not None and pair.artifacts is None:
        raise OpsError(f"no artifact backup is tied to {pair.postgres.id}: restore the databases alone, or another id")
    clock = _Clock()
    checked = verify(storage, pair, scratch, quick=True)
    require_whole(checked, accept_broken=options.accept_broken)
    result = Result(pair=pair, checked=checked, seconds=clock.seconds)
    clock.lap("verify")
    say(f"checked {checked.files} files of {pair.postgres.id}: all there")
    target = restore_postgres.Target(server=options.server or "", replace=options.replace)
    if options.server is not None:
        restore_postgres.check_target(target, pair.postgres)
    if options.artifacts is not None:
        _check_artifacts_target(options.artifacts, replace=options.replace)
        result.artifacts_before = _restore_artifacts(options.artifacts, storage, checked, say)
        clock.lap("artifacts")
    if options.server is not None:
        result.databases = restore_postgres.restore(target, storage, pair.postgres, scratch)
        for restored in result.databases:
            _say_database(restored, say)
        clock.lap("postgres")
    return result


def _pair(catalog: Catalog, options: RestoreOptions) -> Pair:
    """Return what to restore; for databases alone the newest dump, even if no artifacts have been tied to it yet."""
    if options.backup == LATEST and options.artifacts is None and catalog.postgres:
        return catalog.pair(catalog.postgres[-1].id)
    return catalog.pair(options.backup)


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name], self._last = now - self._last, now


def _check_artifacts_target(target: str, *, replace: bool) -> None:
    if target.startswith(S3):
        from ops.backup.restore_bucket import check_bucket  # noqa: PLC0415  # boto3 takes half a second to load

        check_bucket(target, replace=replace)
    else:
        restore_artifacts.check_folder(Path(target), replace=replace)


def _restore_artifacts(target: str, storage: Storage, checked: Checked, say: Say) -> str | None:
    artifacts = checked.pair.artifacts
    assert artifacts is not None  # noqa: S101 - was checked
    if target.startswith(S3):
        from ops.backup.restore_bucket import restore_bucket  # noqa: PLC0415  # boto3 takes half a second to load

        restore_bucket(storage, checked.tree, target)
        say(f"artifacts {artifacts.id}: {len(checked.tree)} files in {target}, compared")
        return None
    folder = Path(target)
    before = restore_artifacts.restore_folder(storage, checked.tree, folder, artifacts.id)
    restore_artifacts.compare_folder(checked.tree, folder)
    say(f"artifacts {artifacts.id}: {len(checked.tree)} files in {folder}, compared")
    if before:
        say(f"  what was there before is in {folder / before}: delete it once all is well")
    return before


def _say_database(restored: restore_postgres.Restored, say: Say) -> None:
    rows = sum(restored.database.rows.values())
    say(f"database {restored.database.name}: {rows} rows in {len(restored.database.rows)} tables, compared")
    if restored.before:
        say(f"  the old one is still there as {restored.before}: drop it once all is well")
