"""Set up logins and databases on a PostgreSQL that is not a pod: ``python -m ops.jobs.database_setup``.

It creates each missing login and its database, and gives every login the password of its secret, so another run applies
changed passwords. It sends only verifiers of passwords (SCRAM), so no log of the server can contain a password.

The image that has a PostgreSQL driver has no typer, so this is a program of its own and not a command of `churn`.

Exit code: 0 done; 2 refused, and a person must act; 1 anything else, where another try may succeed.
"""
# ruff: noqa: T201  # a program of a pod writes to its log

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from ops.errors import ExitCode, OpsError, exit_code
from ops.jobs import postgres_server
from ops.jobs.logins import Login

READER: Final = "backup"
"""The login that reads every database."""
MONITOR: Final = "monitor"
"""The login that reads the server's statistics, and no table."""
MAINTENANCE: Final = "postgres"
"""The database that every server has, to which this program and the monitor connect."""


@dataclass(frozen=True, kw_only=True)
class Role:
    """A login with its password, and how many connections it may hold."""

    name: str
    connections: int
    login: Login


@dataclass(frozen=True, kw_only=True)
class RoleOption:
    """A login as the command line names it: ``NAME:CONNECTIONS:FOLDER``."""

    name: str
    connections: int
    folder: Path

    @classmethod
    def parse(cls, text: str) -> RoleOption:
        """Split the option's value.

        Raises:
            argparse.ArgumentTypeError: it does not have these three parts.
        """
        name, _, rest = text.partition(":")
        count, _, folder = rest.partition(":")
        if not (name.isidentifier() and count.isdecimal() and folder):
            raise argparse.ArgumentTypeError(
                f"{text!r} is not NAME:CONNECTIONS:FOLDER, such as mlflow:78:/run/secrets/mlflow"
            )
        return cls(name=name, connections=int(count), folder=Path(folder))


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line chose: the server, its administrator's login, and the logins to set up."""

    host: str
    port: int
    sslmode: str
    superuser: Path
    logins: Sequence[RoleOption]

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Options:
        """Read the command line; wrong usage ends the program with exit code 2."""
        return cls(**vars(_parser().parse_args(argv)))


def read_roles(options: Sequence[RoleOption]) -> list[Role]:
    """Read the passwords of the logins.

    Raises:
        OpsError: a file is missing, or names another user than the login is for.
    """
    roles = [Role(name=o.name, connections=o.connections, login=Login.of_postgres(o.folder)) for o in options]
    for role in roles:
        if role.login.username != role.name:
            raise OpsError(f"the secret of the login {role.name!r} is for {role.login.username!r}: give it its own")
    return roles


def set_up(connection: Any, roles: Sequence[Role]) -> list[str]:
    """Set up the logins and their databases; returns what was done, a line for each login."""
    connection.autocommit = True  # databases cannot be created within a transaction
    with connection.cursor() as cursor:
        done = {role.name: _login(cursor, role, connection) for role in roles}
        for owner in sorted(done.keys() - {READER, MONITOR}):
            done[owner] += _database(cursor, owner, readers=done.keys() & {READER})
        if READER in done:
            cursor.execute(sql.SQL("GRANT pg_read_all_data TO {}").format(sql.Identifier(READER)))
        if MONITOR in done:
            cursor.execute(sql.SQL("GRANT pg_monitor TO {}").format(sql.Identifier(MONITOR)))
            _allow_connect(cursor, MAINTENANCE, MONITOR)
    return [f"login {name}: {what}" for name, what in done.items()]


def _allow_connect(cursor: Any, database: str, login: str) -> None:
    grant = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
    cursor.execute(grant.format(sql.Identifier(database), sql.Identifier(login)))


def _login(cursor: Any, role: Role, connection: Any) -> str:
    name = sql.Identifier(role.name)
    cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", (role.name,))
    exists = cursor.fetchone() is not None
    if not exists:
        cursor.execute(sql.SQL("CREATE ROLE {}").format(name))
    verifier = encrypt_password(role.login.password, role.name, connection, "scram-sha-256")
    cursor.execute(
        sql.SQL("ALTER ROLE {} LOGIN NOCREATEDB NOCREATEROLE CONNECTION LIMIT {} PASSWORD {}").format(
            name, sql.Literal(role.connections), sql.Literal(verifier)
        )
    )
    return "given its password" if exists else "created"


def _database(cursor: Any, owner: str, readers: Collection[str]) -> str:
    """Create a login's database unless it exists, open to its owner and these readers alone."""
    name = sql.Identifier(owner)
    cursor.execute("SELECT FROM pg_database WHERE datname = %s", (owner,))
    exists = cursor.fetchone() is not None
    # RDS's administrator is not a superuser: it must be a member of a role to give it a database, and to decide who may
    # use what the role owns. Otherwise the server only warns, and everybody may still connect.
    cursor.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(name))
    if not exists:
        cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
    cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    for reader in readers:
        _allow_connect(cursor, owner, reader)
    cursor.execute(sql.SQL("REVOKE {} FROM CURRENT_USER").format(name))
    return "" if exists else ", with its database"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ops.jobs.database_setup", description=__doc__.partition("\n")[0])
    postgres_server.add_options(parser)
    parser.add_argument(
        "--superuser",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder with an administrator's login",
    )
    parser.add_argument(
        "--login",
        type=RoleOption.parse,
        dest="logins",
        action="append",
        default=[],
        metavar="NAME:CONNECTIONS:FOLDER",
        help="a login, how many connections it may hold, and the folder of its secret",
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the setup; returns the exit code."""
    options = Options.parse(argv)
    try:
        roles = read_roles(options.logins)
        connection = postgres_server.connect(options, MAINTENANCE, Login.read(options.superuser))
    except OpsError as error:
        print(f"Error: {error}", file=sys.stderr)
        return exit_code(error)
    try:
        for line in set_up(connection, roles):
            print(line)
    finally:
        connection.close()
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
