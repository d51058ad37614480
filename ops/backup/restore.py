# ruff: noqa: T201  # a program prints
"""Brings a backup back: ``python -m ops.backup.restore``, or ``churn restore`` where the command is installed.

The manifest and everything it names are checked first. Databases and artifacts are restored beside their places,
compared with what was dumped, and then put there; a target that is not empty is refused unless told.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from ops.backup import restore_artifacts, restore_postgres
from ops.backup.catalog import LATEST, Catalog, Pair
from ops.backup.program import stop, told
from ops.backup.root import reading
from ops.backup.store import S3, FolderStore, Store, open_store
from ops.backup.verify import Checked, require_whole, verify
from ops.errors import OpsError

Say = Callable[[str], None]
Part = Literal["postgres", "artifacts"]

_EPILOG: Final = """\
environment:
  PGSERVICEFILE  libpq's file with host, user and password of the services

example: python -m ops.backup.restore --from /var/lib/backups --to superuser --artifacts-to /var/lib/artifacts
"""


@dataclass(frozen=True, kw_only=True)
class RestoreOptions:
    """What goes where. A part without a place is not restored."""

    source: str
    backup: str
    server: str | None
    """A service of PGSERVICEFILE, or a libpq connection string, of a login that may make roles and databases."""
    artifacts: str | None
    """A folder, or s3://bucket/prefix."""
    replace: bool = False
    accept_broken: bool = False
    scratch: Path | None = None
    """Where what comes from a bucket is kept meanwhile; the system's temporary folder by default."""


@dataclass(kw_only=True)
class Result:
    """What was restored."""

    pair: Pair
    checked: Checked
    databases: list[restore_postgres.Restored] = field(default_factory=list)
    artifacts_kept: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    """Of each stage."""


def restore(options: RestoreOptions, say: Say) -> Result:
    """Restore a backup; when this raises, the targets are as they were.

    Raises:
        OpsError: the backup is damaged, a target is not empty, or what was restored is not what was backed up.
    """
    if options.server is None and options.artifacts is None:
        raise OpsError("nothing to restore: name a server (--to), a place for the artifacts (--artifacts-to), or both")
    store = open_store(options.source)
    with (
        reading(store.root) if isinstance(store, FolderStore) else nullcontext(),
        tempfile.TemporaryDirectory(prefix="churn-restore-", dir=options.scratch) as scratch,
    ):
        return _restore(options, store, Path(scratch), say)


def _restore(options: RestoreOptions, store: Store, scratch: Path, say: Say) -> Result:
    pair = Catalog(store).pair(options.backup)
    if options.artifacts is not None and pair.artifacts is None:
        raise OpsError(f"no artifact backup is tied to {pair.postgres.id}: restore the databases alone, or another id")
    clock = _Clock()
    checked = verify(store, pair, scratch, quick=True)
    require_whole(checked, accept_broken=options.accept_broken)
    result = Result(pair=pair, checked=checked, seconds=clock.seconds)
    clock.lap("verify")
    say(f"checked {checked.files} files of {pair.postgres.id}: all there")
    target = restore_postgres.Target(server=options.server or "", replace=options.replace)
    if options.server is not None:
        restore_postgres.check_target(target, pair.postgres)
    if options.artifacts is not None:
        _check_artifacts(options.artifacts, replace=options.replace)
        result.artifacts_kept = _restore_artifacts(options.artifacts, store, checked, say)
        clock.lap("artifacts")
    if options.server is not None:
        result.databases = restore_postgres.restore(target, store, pair.postgres, scratch)
        for restored in result.databases:
            _say_database(restored, say)
        clock.lap("postgres")
    return result


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name], self._last = now - self._last, now


def _check_artifacts(place: str, *, replace: bool) -> None:
    if place.startswith(S3):
        from ops.backup.restore_bucket import check_bucket  # noqa: PLC0415  # imports boto3

        check_bucket(place, replace=replace)
    else:
        restore_artifacts.check_folder(Path(place), replace=replace)


def _restore_artifacts(place: str, store: Store, checked: Checked, say: Say) -> str | None:
    artifacts = checked.pair.artifacts
    assert artifacts is not None  # noqa: S101 - was checked
    if place.startswith(S3):
        from ops.backup.restore_bucket import restore_bucket  # noqa: PLC0415  # imports boto3

        restore_bucket(store, checked.tree, place)
        say(f"artifacts {artifacts.id}: {len(checked.tree)} files in {place}")
        return None
    folder = Path(place)
    kept = restore_artifacts.restore_folder(store, checked.tree, folder, artifacts.id)
    restore_artifacts.compare_folder(checked.tree, folder)
    say(f"artifacts {artifacts.id}: {len(checked.tree)} files in {folder}, compared")
    if kept:
        say(f"  what was there is in {folder / kept}: delete it once all is well")
    return kept


def _say_database(restored: restore_postgres.Restored, say: Say) -> None:
    rows = sum(restored.database.rows.values())
    say(f"database {restored.database.name}: {rows} rows in {len(restored.database.rows)} tables, compared")
    if restored.kept:
        say(f"  the old one is kept as {restored.kept}: drop it once all is well")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m ops.backup.restore",
        description="Restore a backup into a server and an artifact store.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--from", dest="source", required=True, metavar="ROOT", help="folder or s3://bucket of backups")
    made.add_argument("--backup", default=LATEST, metavar="ID", help="of a dump or of artifacts (%(default)s)")
    made.add_argument("--to", dest="server", metavar="SERVER", help="service of PGSERVICEFILE, or connection string")
    made.add_argument("--artifacts-to", dest="artifacts", metavar="STORE", help="folder, or s3://bucket/prefix")
    made.add_argument("--replace", action="store_true", help="put it in the place of what is there, which is kept")
    made.add_argument("--accept-broken", action="store_true", help="even if versions lacked artifacts when copied")
    made.add_argument("--scratch", type=Path, metavar="FOLDER", help="for dumps that come from a bucket")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a restore; returns the exit code."""
    signal.signal(signal.SIGTERM, stop)
    try:
        restore(RestoreOptions(**vars(parser().parse_args(arguments))), print)
    except (OSError, OpsError) as error:
        message, code = told(error)
        print(f"Error: {message}", file=sys.stderr)
        return code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
