"""Uses PostgreSQL through its own programs: pg_dump, pg_restore, and a psql that stays open for a transaction.

The server and the login are given by a libpq connection string, usually the ``service=NAME`` of the file that
PGSERVICEFILE names, so that no password is ever in a command line or a message.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from ops.errors import OpsError, TemporaryError

VERSION: Final = "15"
FOLDERS: Final = (f"/usr/lib/postgresql/{VERSION}/bin",)
"""Where Debian installs the programs that are not on PATH."""
CONNECT_SECONDS: Final = "15"
STOP_SECONDS: Final = 10
PAUSE_SECONDS: Final = 1.0
_PERMANENT: Final = re.compile(
    r"authentication failed|no password supplied|does not exist|permission denied|definition of service|not permitted|"
    r"must be superuser|must be member|No space left|version mismatch"
)
_SERVER: Final = "Error message from server:"
_NOISE: Final = re.compile(r"^(psql|pg_\w+): (error|warning|hint|detail): |^(psql:\S+ )?(ERROR|FATAL): +")


def tool(name: str) -> str:
    """The path of one of PostgreSQL's programs.

    Raises:
        OpsError: it is not installed.
    """
    path = shutil.which(name, path=os.pathsep.join((*FOLDERS, os.environ.get("PATH", ""))))
    if path is None:
        raise OpsError(f"{name} is not installed: install PostgreSQL {VERSION} (Debian: postgresql-{VERSION})")
    return path


def literal(text: str) -> str:
    """A string as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def conninfo(target: str, database: str | None = None) -> str:
    """A connection string, of another database if one is named; a bare word is the name of a service."""
    base = target if "=" in target else f"service={target}"
    if database is None:
        return base
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"{base} dbname='{escaped}'"


def failure(what: str, stderr: str) -> OpsError:
    """The error that a program's messages mean; ``what`` says in words what failed."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    last = lines[-1] if lines else "no message"
    reason = next((line for line in lines if re.search(r"error|FATAL|ERROR", line)), last)
    server = next((line.partition(_SERVER)[2].strip() for line in lines if _SERVER in line), "")
    kind = OpsError if _PERMANENT.search(stderr) else TemporaryError
    return kind(f"{what}: {_NOISE.sub('', _NOISE.sub('', reason))}{f' ({server})' if server else ''}")


def environment() -> dict[str, str]:
    """The environment that the programs are started with."""
    return {"PGCONNECT_TIMEOUT": CONNECT_SECONDS, **os.environ, "PGAPPNAME": "churn-backup", "LC_ALL": "C"}


def run(what: str, command: Sequence[str], *, env: Mapping[str, str] | None = None, stdin: str | None = None) -> str:
    """Run a program; returns what it printed.

    Raises:
        OpsError: it failed; ``what`` says in words what failed.
    """
    done = subprocess.run(  # noqa: S603 - programs of PostgreSQL, without a shell
        [tool(command[0]), *command[1:]],
        env={**environment(), **(env or {})},
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise failure(what, done.stderr)
    return done.stdout


def wait_for(target: str, seconds: float) -> None:
    """Wait until a server answers, for at most so many seconds: after that, the next connection says what is wrong.

    Raises:
        OpsError: it refuses the connection for a reason that will not pass.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            run("the database server", ["psql", "-X", "-A", "-t", "-q", "-w", "-d", conninfo(target), "-c", "SELECT 1"])
        except TemporaryError:
            time.sleep(PAUSE_SECONDS)
        else:
            return


class Session:
    """A psql that stays open, and with it a transaction and its snapshot."""

    def __init__(self, target: str, database: str | None = None) -> None:
        self.target = target
        self.database = database
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed with it
        # `__enter__` lifts the server's limits: a dump of another database may take longer than those allow.
        self._process = subprocess.Popen(  # noqa: S603 - a program of PostgreSQL, without a shell
            [tool("psql"), "-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-d", conninfo(target, database)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
        )

    def __enter__(self) -> Self:
        self.run("SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0; SET lock_timeout = 0;")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, sql: str) -> str:
        """Run statements; returns the rows as psql prints them.

        Raises:
            OpsError: the server refuses them, or has closed the connection.
        """
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        end = f"end-{secrets.token_hex(8)}"
        try:
            self._process.stdin.write(f"{sql}\n\\echo {end}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None
        lines: list[str] = []
        for line in self._process.stdout:
            if line.rstrip("\n") == end:
                return "".join(lines).strip("\n")
            lines.append(line)
        raise self._failure()

    def rows(self, query: str) -> list[dict[str, Any]]:
        """The rows of a query; values by column."""
        text = self.run(f"SELECT coalesce(json_agg(q), '[]') FROM ({query}) q;")  # noqa: S608 - our own queries
        rows: list[dict[str, Any]] = json.loads(text)
        return rows

    def close(self) -> None:
        """End the psql, and with it its transaction."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def _failure(self) -> OpsError:
        self._process.wait(STOP_SECONDS)
        self._errors.seek(0)
        where = f"database {self.database}" if self.database else "the database server"
        return failure(where, self._errors.read())


def major(version: str) -> int:
    """The major of a version such as ``15.8 (Debian 15.8-0+deb12u1)``, or ``16devel``."""
    return int(re.match(r"\d+", version)[0])  # type: ignore[index]  # every version begins with its number


def client_version() -> str:
    """The version of pg_dump."""
    return run("pg_dump --version", ["pg_dump", "--version"]).split()[2]


def check_readable(path: Path) -> None:
    """Read an archive of pg_dump to its end, as a restore would.

    Raises:
        OpsError: it cannot be read.
    """
    run(f"the dump {path.name} cannot be read back", ["pg_restore", "--file", os.devnull, str(path)])
