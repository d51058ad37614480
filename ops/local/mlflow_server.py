"""Runs the MLflow server of the embedded platform: SQLite and a local artifact folder, on this machine only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx

from app.names import MLFLOW_CLIENT, MLFLOW_SERVER, MODEL_NAME, PRODUCTION
from ops.errors import TemporaryError
from ops.local.defaults import MLFLOW_PORT
from ops.local.home import Home
from ops.local.ports import LOOPBACK, free_port
from ops.local.processes import POLL_SECONDS, ProcessGroup
from ops.plain_http import NO_TLS
from ops.progress import waiting
from training.addresses import runs_address

START_SECONDS: Final = 120
"""A cold start on a busy machine takes up to half a minute for imports, and then creates the tables."""
OTHERS_SECONDS: Final = 60
"""How long a command waits while another command of the same home starts MLflow."""


def command(home: Home, port: int) -> list[str]:
    """Return the server's command line. Artifacts go through the server, so clients need only its address."""
    return [
        sys.executable, "-m", "mlflow", "server",
        "--backend-store-uri", f"sqlite:///{home.mlflow_database}",
        "--artifacts-destination", home.artifacts.as_uri(),
        "--serve-artifacts",
        "--host", LOOPBACK,
        "--port", str(port),
        "--workers", "1",
    ]  # fmt: skip


def environment() -> dict[str, str]:
    """Return the server's environment: this one without the settings for MLflow's clients, and with telemetry off."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return inherited | MLFLOW_SERVER


def start(processes: ProcessGroup, home: Home, port: int) -> None:
    """Start the server without waiting for it."""
    home.artifacts.mkdir(parents=True, exist_ok=True)
    processes.start("mlflow", command(home, port), environment())


def has_production(url: str, model_name: str) -> bool | None:
    """Whether a version of a model has the alias ``production``; None if no server answers.

    Raises:
        OpsError: the server's answer says neither.
    """
    try:
        answer = httpx.get(
            f"{url}/api/2.0/mlflow/registered-models/alias",
            params={"name": model_name, "alias": PRODUCTION},
            timeout=5,
            trust_env=False,
            verify=NO_TLS,
        )
    except httpx.TransportError:
        return None
    if answer.is_success:
        return True
    # Without the model the error is RESOURCE_DOES_NOT_EXIST, without the alias INVALID_PARAMETER_VALUE.
    if any(code in answer.text for code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")):
        return False
    raise TemporaryError(f"{url} answered {answer.status_code} when asked which version is in production")


def training_page(url: str, model_name: str) -> str:
    """Return the address of a model's runs in MLflow's view of training; the front page shows language models instead.

    If the server does not name the experiment, its own address is returned.
    """
    try:
        answer = httpx.get(
            f"{url}/api/2.0/mlflow/experiments/get-by-name",
            params={"experiment_name": model_name},
            timeout=5,
            trust_env=False,
            verify=NO_TLS,
        )
        return f"{url}/{runs_address(answer.json()['experiment']['experiment_id'])}"
    except (httpx.HTTPError, ValueError, KeyError):
        return url


@contextmanager
def tracking_server(home: Home, command_name: str, uri: str | None) -> Iterator[str]:
    """Yield the address of an MLflow server: ``uri``, the running embedded one, or one started for this command.

    If a ``churn up`` is just starting, this waits for it. From here on, telemetry of an MLflow imported in this process
    is off.

    Raises:
        OpsError: a command that shares no server keeps the home in use.
    """
    os.environ.update(MLFLOW_CLIENT)
    if uri:
        yield uri
        return
    if url := _running_url(home):
        yield url
        return
    with home.use(command_name), ProcessGroup(home.logs) as processes:
        port = free_port(MLFLOW_PORT)
        url = f"http://{LOOPBACK}:{port}"
        with waiting("Starting MLflow for this command"):
            start(processes, home, port)
            if not processes.wait(lambda: has_production(url, MODEL_NAME) is not None, timeout_seconds=START_SECONDS):
                raise TemporaryError(f"MLflow did not answer at {url} within {START_SECONDS} s; see {home.logs}")
        yield url


def _running_url(home: Home) -> str | None:
    """Address of the server of whoever holds the home, once it answers; None as soon as nobody holds it.

    After :data:`OTHERS_SECONDS` of neither, None too: the home is then found to be in use.
    """
    if not home.in_use():
        return None
    if (running := home.running()) is not None and running.mlflow_url is not None:
        return running.mlflow_url
    who = f"'{running.command}' (process {running.pid})" if running else "another churn command"
    deadline = time.monotonic() + OTHERS_SECONDS
    with waiting(f"{home.root} is in use by {who}: waiting up to {OTHERS_SECONDS} s for its MLflow, or its end"):
        while home.in_use() and time.monotonic() < deadline:
            if (running := home.running()) is not None and running.mlflow_url is not None:
                return running.mlflow_url
            time.sleep(POLL_SECONDS)
    return None
