"""The migration of MLflow's database: ``python -m ops.jobs.migrate``, run once before each new server.

It makes the tables in an empty database, brings older ones to the newest revision, does nothing to current ones and
refuses newer ones. Before older tables with data in them are touched there must be a backup of less than 26 hours. Then
MLflow's users get the passwords of their secrets, so running it again brings in changed ones.

Exit code: 0 done; 2 refused, and a person must act; 1 anything else, which may pass when tried again.
"""
# ruff: noqa: T201  # a program of a pod speaks to its log

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from app.names import MLFLOW_CLIENT, MODEL_NAME
from ops.backup import catalog as backups
from ops.backup.manifest import POSTGRES
from ops.errors import BAD_INPUT, OpsError, TemporaryError
from ops.jobs.logins import Login
from ops.jobs.tracking_users import READERS

MAY_PASS: Final = 1
FRESH: Final = timedelta(hours=26)
"""One day, and time for the next backup to end."""
HINT: Final = (
    "take one first (kubectl create job -n churn-mlops --from=cronjob/backup-postgres backup-before-upgrade), "
    "or say --without-backup"
)


def require_backup(folder: Path | None, now: datetime) -> backups.Backup:
    """The backup that an upgrade can be undone with.

    Raises:
        OpsError: there is none, or it is too old.
    """
    if folder is None:
        raise OpsError(f"the database has data and must be upgraded, but --backups names no folder: {HINT}")
    found = backups.latest(folder, POSTGRES)
    if found is None:
        raise OpsError(f"the database has data and must be upgraded, but {folder} has no complete backup of it: {HINT}")
    if now - found.finished_at > FRESH:
        raise OpsError(
            f"the database has data and must be upgraded, but its last backup is of "
            f"{found.finished_at:%Y-%m-%d %H:%M} UTC, more than {FRESH.total_seconds() / 3600:g} hours ago: {HINT}"
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Logins:
    """MLflow's users by what they may do."""

    admins: list[Login]
    writers: list[Login]
    readers: list[Login]


def read_logins(options: argparse.Namespace) -> Logins:
    """The logins of all folders.

    Raises:
        OpsError: a file is missing, or a reader has a name that the server does not know as one.
    """
    admins, writers, readers = (
        [Login.read(folder) for folder in folders] for folders in (options.admin, options.writer, options.reader)
    )
    for login in readers:
        if login.username not in READERS:
            raise OpsError(f"{login.username!r} is no reader: the server keeps only {sorted(READERS)} from writing")
    return Logins(admins=admins, writers=writers, readers=readers)


def _migrate(options: argparse.Namespace, logins: Logins) -> None:
    from ops.jobs import mlflow_database as database  # noqa: PLC0415  # imports MLflow, which must be quiet by then

    engine = database.connect(options.database)
    with database.exclusive(engine):
        schemas = (database.TRACKING, database.LOGINS)
        states = {schema.name: schema.state(engine) for schema in schemas}
        outdated = any(state is not database.State.CURRENT for state in states.values())
        if outdated and not options.without_backup and database.has_data(engine):
            found = require_backup(options.backups, datetime.now(UTC))
            print(f"backup: {found.folder.name}, finished {found.finished_at:%Y-%m-%d %H:%M} UTC")
        for schema in schemas:
            if states[schema.name] is not database.State.CURRENT:
                schema.upgrade(engine)
            print(f"{schema.name}: {states[schema.name].name.lower()}, now at {schema.revision(engine)}")
        database.make_default_experiment(options.database)
        database.make_model(options.database, MODEL_NAME)
        users = database.open_users(options.database)
        for login in (*logins.admins, *logins.writers, *logins.readers):
            done = database.set_user(users, login, admin=login in logins.admins)
            print(f"user {login.username}: {done}")
        for login in logins.writers:
            database.let_manage(users, login.username, MODEL_NAME)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ops.jobs.migrate", description=__doc__.partition("\n")[0])
    parser.add_argument("--database", required=True, metavar="URI", help="SQLAlchemy's address of the database")
    logins = {
        "--admin": "login of an administrator: the files username and password",
        "--writer": f"login that logs runs and manages the model {MODEL_NAME!r}",
        "--reader": "login that only reads",
    }
    for option, meaning in logins.items():
        parser.add_argument(option, type=Path, metavar="FOLDER", action="append", default=[], help=meaning)
    parser.add_argument("--backups", type=Path, metavar="FOLDER", help="where the backups are")
    parser.add_argument("--without-backup", action="store_true", help="upgrade even if there is no fresh backup")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the migration; returns the exit code."""
    options = _parser().parse_args(argv)
    os.environ.update(MLFLOW_CLIENT)
    try:
        _migrate(options, read_logins(options))
    except OpsError as error:
        print(f"Error: {error}", file=sys.stderr)
        return MAY_PASS if isinstance(error, TemporaryError) else BAD_INPUT
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
