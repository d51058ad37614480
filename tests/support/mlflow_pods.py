"""Runs MLflow's pods, migration and server, as processes of this machine, with the options of their manifests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest
from support.postgres import Postgres
from support.servers import DOMAIN, HOST, TOOL_FOLDERS, Server, free_port

from app.names import MLFLOW_CLIENT
from infra.connections import POOLS
from infra.naming import MLFLOW
from infra.workloads.mlflow import server_options
from infra.workloads.mlflow_jobs import DATABASE_URI
from ops.plain_http import NO_TLS

PASSWORDS: Final = {
    name: f"{name}-%pass'word-1" for name in ("mlflow", "grafana", "backup", "monitor", "admin", "api", "training")
}
MARKS: Final = [
    pytest.mark.service,
    # MLflow's server uses what Starlette, SQLAlchemy and Alembic want to drop.
    pytest.mark.filterwarnings("ignore:starlette.middleware.wsgi is deprecated"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@contextmanager
def pod_environment(server: Postgres, database: str) -> Iterator[None]:
    """Set in this process what the pod's manifest sets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGSERVICEFILE", str(server.service_file("mlflow", PASSWORDS["mlflow"], database)))
        patch.setenv("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "1")
        patch.setenv("MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW", "1")
        for name, value in MLFLOW_CLIENT.items():  # the program sets them itself; this removes them afterwards
            patch.setenv(name, value)
        yield


def arguments(server: Postgres) -> list[str]:
    """The command line of the migration's pod."""
    users = {"--admin": "admin", "--writer": "training", "--reader": "api"}
    logins = [
        part
        for option, user in users.items()
        for part in (
            option,
            str(server.secret(f"mlflow-{user}", username=user, password=PASSWORDS[user], session_key="a" * 43)),
        )
    ]
    return ["--database", DATABASE_URI, *logins]


def run_migration(server: Postgres, *options: str, database: str = "mlflow") -> int:
    """Run the migration and repeat its output; returns its exit code.

    It is a separate process, since MLflow caches connections by the database's address, which does not name the server.
    """
    with pod_environment(server, database):
        command = [sys.executable, "-m", "ops.jobs.migrate", *arguments(server), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


def pod_command(command: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "ops.jobs.tracking_pod", command, *options]


class Tracking(Server):
    """The pod's server, with its command and environment except for address, port and folder of artifacts."""

    def __init__(self, server: Postgres, folder: Path) -> None:
        port = free_port()
        self.admin = server.secret("mlflow-admin")
        self.environment = {
            "PATH": TOOL_FOLDERS,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "PGSERVICEFILE": str(server.service_file("mlflow", PASSWORDS["mlflow"], "mlflow")),
            "MLFLOW_LOGIN_DIR": str(self.admin),
            "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": str(POOLS[MLFLOW.name].size),
            "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": str(POOLS[MLFLOW.name].overflow),
        }
        options = [*server_options(DOMAIN), "--host", HOST, "--port", str(port)]
        command = [*pod_command("server", *options), "--artifacts-destination", (folder / "artifacts").as_uri()]
        super().__init__(command, folder, port=port, environment=self.environment)

    def is_up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", trust_env=False, verify=NO_TLS).is_success
        except httpx.TransportError:
            return False

    def call(
        self, method: str, path: str, user: str | None, body: object = None, host: str | None = None
    ) -> httpx.Response:
        headers = {} if host is None else {"Host": host}
        auth = None if user is None else (user, PASSWORDS[user])
        return httpx.request(
            method, self.url + path, auth=auth, json=body, headers=headers, trust_env=False, verify=NO_TLS, timeout=30
        )
