"""Reads logins as pods have them: a folder with a file for each part."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from ops.errors import OpsError

PG_SERVICE: Final = "pg_service.conf"
"""libpq's file with a whole login; `infra.secret_files.PG_SERVICE` is the same name, and a test ties the two."""


def read_secret(folder: Path, name: str) -> str:
    """Read one file of a secret, without the line end that editors add.

    Raises:
        OpsError: the file is missing or empty.
    """
    path = folder / name
    try:
        content = path.read_text("utf-8").strip("\r\n")
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror}: mount the secret {folder.name!r} there") from None
    if not content:
        raise OpsError(f"{path} is empty: put the {name} of the secret {folder.name!r} into it")
    return content


@dataclass(frozen=True, kw_only=True)
class Login:
    """A user's name and password; the password is not shown when the object is printed."""

    username: str
    password: str

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a login from its folder.

        Raises:
            OpsError: a file is missing or empty.
        """
        return cls(username=read_secret(folder, "username"), password=read_secret(folder, "password"))

    @classmethod
    def of_postgres(cls, folder: Path) -> Self:
        """Read a login of PostgreSQL, from the service file if its clients use one: so both sides have one source.

        Raises:
            OpsError: a file is missing or empty, or the service has no user or no password.
        """
        if not (folder / PG_SERVICE).exists():
            return cls.read(folder)
        lines = [line.strip() for line in read_secret(folder, PG_SERVICE).splitlines()]
        settings = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        absent = [key for key in ("user", "password") if not settings.get(key)]
        if absent:
            raise OpsError(f"{folder / PG_SERVICE} has no {' and no '.join(absent)}: put it into {folder.name!r}")
        return cls(username=settings["user"], password=settings["password"])

    def __repr__(self) -> str:
        return f"Login({self.username!r})"


@contextmanager
def logged_in(target: str, folder: Path) -> Iterator[str]:
    """Give a libpq connection string to a server with the login in a folder, for PostgreSQL's own programs.

    The password is in a file that only this user can read, and in no command line.

    Raises:
        OpsError: a file of the login is missing or empty.
    """
    login = Login.read(folder)
    with tempfile.TemporaryDirectory(prefix="churn-login-") as name:
        path = Path(name) / "pgpass"
        path.touch(mode=0o600)
        escaped = login.password.replace("\\", "\\\\").replace(":", "\\:")
        path.write_text(f"*:*:*:*:{escaped}\n", encoding="utf-8")
        user = login.username.replace("\\", "\\\\").replace("'", "\\'")
        yield f"{target} user='{user}' passfile='{path}'"
