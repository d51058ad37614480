"""Give Grafana's administrator the password of its secret: ``python -m ops.jobs.grafana_admin``, run after a restore.

Grafana stores users in its database and reads the password from its settings only when it creates the administrator. So
a restored database has the password of the backup's time, which nobody may know any more. `grafana cli` could reset it
too, but only in a pod of Grafana that runs, and no pod should meet the restored database before its logins are right.

Exit code: 0 done, or nothing to do; 2 refused, and a person must act; 1 anything else, where another try may succeed.
"""
# ruff: noqa: T201  # a program of a pod writes to its log

from __future__ import annotations

import argparse
import hashlib
import secrets
import string
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ops.errors import ExitCode, OpsError, exit_code
from ops.jobs import postgres_server
from ops.jobs.logins import Login

DATABASE: Final = "grafana"
ROUNDS: Final = 10_000
HASH_BYTES: Final = 50
SALT_CHARACTERS: Final = 10
ABSENT: Final = "not there yet: Grafana creates it when it starts"


def hashed(password: str, salt: str) -> str:
    """Return a password as Grafana stores it: PBKDF2 with HMAC-SHA-256 (grafana, pkg/util/encoding.go)."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), ROUNDS, HASH_BYTES).hex()


def set_password(connection: Any, admin: Login) -> str:
    """Set the administrator's password; returns what was done.

    Raises:
        OpsError: there are users, but none of that name, so Grafana would not create it either.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('\"user\"') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return ABSENT
        cursor.execute('SELECT password, salt FROM "user" WHERE lower(login) = lower(%s)', (admin.username,))
        row = cursor.fetchone()
        if row is None:
            cursor.execute('SELECT count(*) FROM "user"')
            if count := cursor.fetchone()[0]:
                raise OpsError(
                    f"Grafana's database has {count} users, but none is named {admin.username!r}: log in as another "
                    "administrator and create that user, or put an existing name into the secret grafana-admin"
                )
            return ABSENT
        known, salt = row
        if secrets.compare_digest(known or "", hashed(admin.password, salt or "")):
            return "unchanged"
        salt = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(SALT_CHARACTERS))
        cursor.execute(
            'UPDATE "user" SET password = %s, salt = %s, updated = now() WHERE lower(login) = lower(%s)',
            (hashed(admin.password, salt), salt, admin.username),
        )
    return "given a new password"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ops.jobs.grafana_admin", description=__doc__.partition("\n")[0])
    postgres_server.add_options(parser)
    folder = "folder with the files username and password of "
    parser.add_argument("--database", type=Path, required=True, metavar="FOLDER", help=f"{folder}Grafana's database")
    parser.add_argument("--admin", type=Path, required=True, metavar="FOLDER", help=f"{folder}Grafana's administrator")
    return parser


def main(argv: Sequence[str]) -> int:
    """Set the password; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        admin, login = Login.read(options.admin), Login.of_postgres(options.database)
        connection = postgres_server.connect(options, DATABASE, login)
        try:
            print(f"Grafana's user {admin.username}: {set_password(connection, admin)}")
        finally:
            connection.close()
    except OpsError as error:
        print(f"Error: {error}", file=sys.stderr)
        return exit_code(error)
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
