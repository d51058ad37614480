"""Migrate MLflow's database: ``python -m ops.jobs.migrate``, run once before each new server.

It creates the tables in an empty database, upgrades older tables to the newest revision, leaves current ones alone and
refuses newer ones. Older tables with data are upgraded only if there is a backup that is at most 26 hours old. Then
MLflow's users get the passwords of their secrets, so another run applies changed passwords, and the writers may manage
each of the registered models, which are created if they are missing. After a refusal, the next `pulumi up` runs it
again.

The image of MLflow has no typer, so this is a program of its own and not a command of `churn`.

Exit code: 0 done; 2 refused, and a person must act; 1 anything else, where another try may succeed.
"""
# ruff: noqa: T201  # a program of a pod writes to its log

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from app.names import MLFLOW_CLIENT, MODEL_NAME, check_model
from ops.backup import catalog as backups
from ops.backup.manifest import POSTGRES
from ops.backup.storage import open_backups
from ops.errors import ExitCode, OpsError, exit_code
from ops.jobs.logins import Login
from ops.jobs.tracking_users import READERS

FRESH: Final = timedelta(hours=26)
"""A day, and time for the next backup to finish."""
HINT: Final = (
    "take one first (kubectl create job -n churn-mlops --from=cronjob/backup-postgres backup-before-upgrade), "
    "or give --without-backup"
)


def require_backup(source: str | None, now: datetime) -> backups.Backup:
    """Return the backup by which the upgrade could be undone.

    Raises:
        OpsError: there is none, or it is too old.
    """
    if source is None:
        raise OpsError(f"the database has data and must be upgraded, but --backups names no place: {HINT}")
    backup = backups.latest(open_backups(source), POSTGRES)
    if backup is None:
        raise OpsError(f"the database has data and must be upgraded, but {source} has no complete backup of it: {HINT}")
    if now - backup.finished_at > FRESH:
        raise OpsError(
            f"the database has data and must be upgraded, but its last backup is from "
            f"{backup.finished_at:%Y-%m-%d %H:%M} UTC, more than {FRESH.total_seconds() / 3600:g} hours ago: {HINT}"
        )
    return backup


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line chose: the database, folders with logins, and the backup that must be there."""

    database: str
    admins: Sequence[Path]
    writers: Sequence[Path]
    readers: Sequence[Path]
    models: Sequence[str]
    backups: str | None
    without_backup: bool

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Options:
        """Read the command line; wrong usage ends the program with exit code 2."""
        parser = _parser()
        options = parser.parse_args(argv)
        models = options.model or [MODEL_NAME]
        try:
            models = list(dict.fromkeys(map(check_model, models)))
        except ValueError as error:
            parser.error(f"argument --model: {error}")
        return cls(
            database=options.database,
            admins=options.admin,
            writers=options.writer,
            readers=options.reader,
            models=models,
            backups=options.backups,
            without_backup=options.without_backup,
        )


@dataclass(frozen=True, kw_only=True)
class Logins:
    """MLflow's users, by what they may do."""

    admins: list[Login]
    writers: list[Login]
    readers: list[Login]


def read_logins(options: Options) -> Logins:
    """Read the logins from their folders.

    Raises:
        OpsError: a file is missing, or the server would not keep a reader of that name from writing.
    """
    admins, writers, readers = (
        [Login.read(folder) for folder in folders] for folders in (options.admins, options.writers, options.readers)
    )
    for login in readers:
        if login.username not in READERS:
            raise OpsError(f"{login.username!r} is not a reader: the server keeps only {sorted(READERS)} from writing")
    return Logins(admins=admins, writers=writers, readers=readers)


def _migrate(options: Options, logins: Logins) -> None:
    from ops.jobs import mlflow_database as database  # noqa: PLC0415  # imports MLflow, which must be quiet by then

    engine = database.connect(options.database)
    with database.exclusive(engine):
        schemas = (database.TRACKING, database.LOGINS)
        states = {schema.name: schema.state(engine) for schema in schemas}
        outdated = any(state is not database.State.CURRENT for state in states.values())
        if outdated and not options.without_backup and database.has_data(engine):
            backup = require_backup(options.backups, datetime.now(UTC))
            print(f"backup: {backup.id}, finished {backup.finished_at:%Y-%m-%d %H:%M} UTC")
        for schema in schemas:
            if states[schema.name] is not database.State.CURRENT:
                schema.upgrade(engine)
            print(f"{schema.name}: {states[schema.name].name.lower()}, now at {schema.revision(engine)}")
        database.make_default_experiment(options.database)
        for model in options.models:
            database.make_model(options.database, model)
        users = database.open_users(options.database)
        for login in (*logins.admins, *logins.writers, *logins.readers):
            done = database.set_user(users, login, admin=login in logins.admins)
            print(f"user {login.username}: {done}")
        for login in logins.writers:
            for model in options.models:
                database.allow_manage(users, login.username, model)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ops.jobs.migrate", description=__doc__.partition("\n")[0])
    parser.add_argument("--database", required=True, metavar="URI", help="SQLAlchemy address of the database")
    logins = {
        "--admin": "folder with an administrator's login, the files username and password",
        "--writer": "folder with a login that logs runs and manages the models",
        "--reader": "folder with a login that only reads",
    }
    for option, meaning in logins.items():
        parser.add_argument(option, type=Path, metavar="FOLDER", action="append", default=[], help=meaning)
    parser.add_argument(
        "--model",
        metavar="NAME",
        action="append",
        default=[],
        help=f"registered model to create if it is missing; repeatable (default: {MODEL_NAME})",
    )
    parser.add_argument("--backups", metavar="PLACE", help="folder or s3://bucket[/prefix] with the backups")
    parser.add_argument("--without-backup", action="store_true", help="upgrade even without a recent backup")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the migration; returns the exit code."""
    options = Options.parse(argv)
    os.environ.update(MLFLOW_CLIENT)
    try:
        _migrate(options, read_logins(options))
    except OpsError as error:
        print(f"Error: {error}", file=sys.stderr)
        return exit_code(error)
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
