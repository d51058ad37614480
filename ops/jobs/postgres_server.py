"""The PostgreSQL server that a program of a pod administers: its options on the command line, and a connection to it.

Apart from `ops.jobs.logins`, which images without a driver use too.
"""

from __future__ import annotations

import argparse
from typing import Any, Final, Protocol

import psycopg2

from ops.errors import TemporaryError
from ops.jobs.logins import Login

CONNECT_SECONDS: Final = 20


class Server(Protocol):
    """Where the server is, as the command line says."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def sslmode(self) -> str: ...


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the server is."""
    parser.add_argument("--host", required=True, help="address of PostgreSQL")
    parser.add_argument("--port", type=int, default=5432, help="its port (default: %(default)s)")
    parser.add_argument("--sslmode", default="verify-full", help="as for libpq (default: %(default)s)")


def connect(server: Server, database: str, login: Login) -> Any:
    """Connect to a database of the server.

    Raises:
        TemporaryError: it cannot be reached, or refuses the login.
    """
    try:
        return psycopg2.connect(
            host=server.host,
            port=server.port,
            sslmode=server.sslmode,
            dbname=database,
            user=login.username,
            password=login.password,
            connect_timeout=CONNECT_SECONDS,
        )
    except psycopg2.OperationalError as error:
        raise TemporaryError(f"{server.host}: {str(error).strip().splitlines()[0]}") from None
