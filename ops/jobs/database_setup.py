"""Logins and databases of a PostgreSQL that is no pod of ours: ``python -m ops.jobs.database_setup``.

It makes each login and its database where they are missing, and gives every login the password of its secret, so
running it again brings in changed ones. Only verifiers of passwords are sent (SCRAM), so no log of the server can hold
one.

Exit code: 0 done; 2 refused, and a person must act; 1 anything else, which may pass when tried again.
"""
# ruff: noqa: T201  # a program of a pod speaks to its log

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from ops.errors import BAD_INPUT, OpsError
from ops.jobs.logins import Login

MAY_PASS: Final = 1
CONNECT_SECONDS: Final = 20
READER: Final = "backup"
"""The login that reads every database."""
MONITOR: Final = "monitor"
"""The login that reads statistics of the server, and no table."""
MAINTENANCE: Final = "postgres"
"""The database that every server has: where this program and the monitor connect."""


@dataclass(frozen=True, kw_only=True)
class Role:
    """A login, how many connections it may hold, and its password."""

    name: str
    connections: int
    login: Login


def parse_role(text: str) -> tuple[str, int, Path]:
    """The parts of ``NAME:CONNECTIONS:FOLDER``.

    Raises:
        argparse.ArgumentTypeError: it has other parts.
    """
    name, _, rest = text.partition(":")
    count, _, folder = rest.partition(":")
    if not (name.isidentifier() and count.isdecimal() and folder):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME:CONNECTIONS:FOLDER, such as mlflow:78:/run/secrets/mlflow"
        )
    return name, int(count), Path(folder)


def read_roles(given: Sequence[tuple[str, int, Path]]) -> list[Role]:
    """The logins with their passwords.

    Raises:
        OpsError: a file is missing, or names another user than the login is for.
    """
    roles = [Role(name=name, connections=count, login=Login.read(folder)) for name, count, folder in given]
    for role in roles:
        if role.login.username != role.name:
            raise OpsError(f"the secret of the login {role.name!r} is for {role.login.username!r}: give it its own")
    return roles


def set_up(connection: Any, roles: Sequence[Role]) -> list[str]:
    """Bring the server to what it should be; returns what was done, a line for each login."""
    connection.autocommit = True  # databases cannot be made inside of a transaction
    with connection.cursor() as cursor:
        done = {role.name: _login(cursor, role, connection) for role in roles}
        for owner in sorted(done.keys() - {READER, MONITOR}):
            done[owner] += _database(cursor, owner, readers=done.keys() & {READER})
        if READER in done:
            cursor.execute(sql.SQL("GRANT pg_read_all_data TO {}").format(sql.Identifier(READER)))
        if MONITOR in done:
            cursor.execute(sql.SQL("GRANT pg_monitor TO {}").format(sql.Identifier(MONITOR)))
            _let_in(cursor, MAINTENANCE, MONITOR)
    return [f"login {name}: {what}" for name, what in done.items()]


def _let_in(cursor: Any, database: str, login: str) -> None:
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
    """The database of a login, for it and for these readers alone."""
    name = sql.Identifier(owner)
    cursor.execute("SELECT FROM pg_database WHERE datname = %s", (owner,))
    exists = cursor.fetchone() is not None
    # RDS's administrator is no superuser: to give something to a role, and to say who may use what a role owns, it must
    # be a member of it. Otherwise the server only warns, and everybody may still connect.
    cursor.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(name))
    if not exists:
        cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
    cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    for reader in readers:
        _let_in(cursor, owner, reader)
    cursor.execute(sql.SQL("REVOKE {} FROM CURRENT_USER").format(name))
    return "" if exists else ", with its database"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ops.jobs.database_setup", description=__doc__.partition("\n")[0])
    parser.add_argument("--host", required=True, help="where PostgreSQL answers")
    parser.add_argument("--port", type=int, default=5432, help="its port (5432)")
    parser.add_argument("--sslmode", default="require", help="as libpq's (require): encrypted, or not connected at all")
    parser.add_argument(
        "--superuser", type=Path, required=True, metavar="FOLDER", help="who may make logins: username and password"
    )
    parser.add_argument(
        "--login",
        type=parse_role,
        action="append",
        default=[],
        metavar="NAME:CONNECTIONS:FOLDER",
        help="a login, how many connections it may hold, and the folder with its username and password",
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the setup; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        superuser, roles = Login.read(options.superuser), read_roles(options.login)
    except OpsError as error:
        print(f"Error: {error}", file=sys.stderr)
        return BAD_INPUT
    try:
        connection = psycopg2.connect(
            host=options.host,
            port=options.port,
            sslmode=options.sslmode,
            dbname=MAINTENANCE,
            user=superuser.username,
            password=superuser.password,
            connect_timeout=CONNECT_SECONDS,
        )
    except psycopg2.OperationalError as error:
        print(f"Error: {options.host}: {str(error).strip().splitlines()[0]}", file=sys.stderr)
        return MAY_PASS
    try:
        for line in set_up(connection, roles):
            print(line)
    finally:
        connection.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
