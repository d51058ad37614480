"""Starts MLflow in a pod: turns secret files into what MLflow reads, then replaces this process by MLflow.

``python -m ops.jobs.tracking_pod server OPTIONS`` is `mlflow server OPTIONS` with logins; ``... gc OPTIONS`` is
`mlflow gc OPTIONS` logged in as the administrator. The files are in the folder MLFLOW_LOGIN_DIR. MLflow reads logins
only from its environment and a configuration file; since both are made here, no manifest contains a login.
"""

from __future__ import annotations

import argparse
import configparser
import io
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from app.names import MLFLOW_SERVER
from ops.errors import OpsError, exit_code
from ops.jobs.logins import Login, read_secret

AUTH_CACHE_SECONDS: Final = 60
"""How long MLflow remembers that a password is right: checking one takes 32 MiB and a tenth of a second of CPU. For as
long, an old password still works after a change."""


def _database(options: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--backend-store-uri")
    known, _ = parser.parse_known_args(list(options))
    if not known.backend_store_uri:
        raise OpsError("--backend-store-uri is missing: name the database, which also holds the logins")
    uri: str = known.backend_store_uri
    return uri


def auth_config(database_uri: str, admin: str) -> str:
    """Write MLflow's configuration of logins. It has no password, since the administrator exists already."""
    values = {
        "default_permission": "READ",
        "database_uri": database_uri,
        "admin_username": admin,
        "authorization_function": "ops.jobs.tracking_login:authorize",
        "auth_cache_ttl_seconds": str(AUTH_CACHE_SECONDS),
    }
    # MLflow interpolates the values: a single % would be an error.
    escaped = {key: value.replace("%", "%%") for key, value in values.items()}
    parser = configparser.ConfigParser(interpolation=None)
    parser["mlflow"] = escaped
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def server_environment(options: Sequence[str], logins: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of `mlflow server`, and write the configuration file that it names.

    Raises:
        OpsError: a file of the login or the database's address is missing.
    """
    admin, session_key = read_secret(logins, "username"), read_secret(logins, "session_key")
    config = Path(tempfile.mkdtemp(prefix="mlflow-")) / "auth.ini"  # readable by this user alone
    config.touch(mode=0o600)
    config.write_text(auth_config(_database(options), admin), encoding="utf-8")
    return {
        **inherited,
        **MLFLOW_SERVER,
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": session_key,
    }


def gc_environment(logins: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of `mlflow gc`, which removes artifacts through the server.

    Raises:
        OpsError: a file of the login is missing.
    """
    admin = Login.read(logins)
    return {
        **inherited,
        **MLFLOW_SERVER,
        "MLFLOW_TRACKING_USERNAME": admin.username,
        "MLFLOW_TRACKING_PASSWORD": admin.password,
    }


def main(argv: Sequence[str]) -> None:
    """Replace this process by MLflow; returns only if something is missing."""
    match argv:
        case ["server" | "gc" as command, *options]:
            pass
        case _:
            raise OpsError("usage: python -m ops.jobs.tracking_pod {server|gc} OPTIONS OF MLFLOW")
    if not (folder := os.environ.get("MLFLOW_LOGIN_DIR")):
        raise OpsError("MLFLOW_LOGIN_DIR is not set: name the folder with username, password and session_key")
    logins = Path(folder)
    if command == "server":
        environment = server_environment(options, logins, os.environ)
    else:
        environment = gc_environment(logins, os.environ)
    os.execve(sys.executable, [sys.executable, "-m", "mlflow", command, *options], environment)  # noqa: S606 - deliberately without a shell


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OpsError as problem:
        print(f"Error: {problem}", file=sys.stderr)  # noqa: T201 - a program of a pod writes to its log
        sys.exit(exit_code(problem))
