"""Starts, fills and watches MLflow and the API on one machine, for ``churn up`` and ``churn demo``.

A later start first serves the model that the API has on disk, before it starts MLflow, and trains only if no version is
in production.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from app import paths
from app.contract import Contract
from app.names import MLFLOW_CLIENT, MODEL_NAME, PRODUCTION
from ops.console import Output
from ops.errors import ExitCode, OpsError, TemporaryError
from ops.local import mlflow_server, monitoring
from ops.local.defaults import API_PORT, MLFLOW_PORT, SAMPLE_ROWS, SAMPLE_SEED
from ops.local.home import Home, HomeLock
from ops.local.ports import LOOPBACK, free_port
from ops.local.processes import ProcessGroup
from ops.plain_http import NO_TLS
from training.contract_option import chosen

API_START_SECONDS: Final = 60
HEAD_START_SECONDS: Final = 10
POLL_SECONDS: Final = 2
"""How often the API looks up the alias: on a laptop a promotion should take effect at once."""


@dataclass(frozen=True, kw_only=True)
class UpOptions:
    """Options of a start.

    ``rows`` and ``seed`` describe the sample data, which is made only if there is none yet. Its customers are those of
    the contract in ``contract_file``, or Telco's without one. The API serves ``models``; the first is the default one,
    which is trained if it has no version in production. Seconds are counted from ``started``, a value of
    ``time.monotonic()``.
    """

    port: int = API_PORT
    mlflow_port: int = MLFLOW_PORT
    rows: int = SAMPLE_ROWS
    seed: int = SAMPLE_SEED
    contract_file: Path | None = None
    models: tuple[str, ...] = (MODEL_NAME,)
    started: float


class Platform:
    """Starts and watches MLflow and the API of one home."""

    def __init__(self, home: Home, lock: HomeLock, processes: ProcessGroup, output: Output, options: UpOptions) -> None:
        self._home = home
        self._lock = lock
        self._processes = processes
        self._output = output
        self._options = options
        self._contract = chosen(options.contract_file)
        self._sample = home.customers if self._contract is None else home.sample(self._contract)
        self._in_production: bool | None = None
        self.model_name = options.models[0]
        self._is_new = not home.mlflow_database.exists()
        self.key = home.demo_key()
        self._port = self._free_port("the API", options.port)
        self._mlflow_port = self._free_port("MLflow", options.mlflow_port, taken=frozenset({self._port}))
        ports = {self._port, self._mlflow_port}
        self._programs = monitoring.installed()
        self._prometheus_port = free_port(monitoring.PROMETHEUS_PORT, taken=frozenset(ports))
        self._alertmanager_port = free_port(
            monitoring.ALERTMANAGER_PORT, taken=frozenset(ports | {self._prometheus_port})
        )
        self.api_url = f"http://{LOOPBACK}:{self._port}"
        self.mlflow_url = f"http://{LOOPBACK}:{self._mlflow_port}"

    def _free_port(self, server: str, preferred: int, *, taken: frozenset[int] = frozenset()) -> int:
        port = free_port(preferred, taken=taken)
        if port != preferred:
            self._output.say(f"Port {preferred} is in use: {server} uses {port} instead", "yellow")
        return port

    def _start_api(self) -> None:
        settings = {
            "HOST": LOOPBACK,
            "PORT": str(self._port),
            "MODEL_SOURCE": "mlflow",
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            "MODELS": ",".join(self._options.models),
            "MODEL_ALIAS": PRODUCTION,
            "MODEL_CACHE_DIR": str(self._home.model_cache),
            "MODEL_POLL_SECONDS": str(POLL_SECONDS),
            "API_KEYS_FILE": str(self._home.keys_file),
            "AUTH": "required",
            # No load balancer has to notice the end of this one process, so there is nothing to wait for.
            "DRAIN_SECONDS": "0",
        }
        self._processes.start("api", [sys.executable, "-m", "app"], os.environ | settings)

    def start_monitoring(self) -> dict[str, str]:
        """Start Prometheus and Alertmanager if they are installed; returns their addresses by name."""
        if self._programs is None:
            return {}
        prometheus = f"{LOOPBACK}:{self._prometheus_port}"
        alertmanager = f"{LOOPBACK}:{self._alertmanager_port}"
        targets = {"api": f"{LOOPBACK}:{self._port}", "prometheus": prometheus, "alertmanager": alertmanager}
        folder = self._home.monitoring
        monitoring.write(folder, targets=targets, alertmanager=alertmanager)
        for name, command in {
            "alertmanager": monitoring.alertmanager_command(self._programs.alertmanager, folder, alertmanager),
            "prometheus": monitoring.prometheus_command(self._programs.prometheus, folder, prometheus),
        }.items():
            self._processes.start(name, command, os.environ)
        return {"Prometheus": f"http://{prometheus}", "Alertmanager": f"http://{alertmanager}"}

    def bring_up(self) -> None:
        """Start the servers and wait until the API serves a model; without one, make data, train and promote first."""
        self._start_api()
        if self._home.model_cache.exists():
            # It serves the model that it has on disk; starting MLflow now would only slow it down.
            with self._output.waiting("Starting the API with the model on disk"):
                self._processes.wait(self._is_ready, timeout_seconds=HEAD_START_SECONDS)
        mlflow_server.start(self._processes, self._home, self._mlflow_port)
        if self._is_new:
            self._make_data()  # while MLflow starts
        with self._output.waiting("Waiting for MLflow and the API"):
            up = self._processes.wait(self._serves_or_must_train, timeout_seconds=mlflow_server.START_SECONDS)
        if not up:
            raise TemporaryError(
                f"neither the API at {self.api_url} nor MLflow at {self.mlflow_url} was ready within "
                f"{mlflow_server.START_SECONDS} s; see {self._home.logs}"
            )
        if self._in_production is False:
            self._train()
            self._wait_ready()
        self.contract = self._served_contract()
        self._announce()

    def _serves_or_must_train(self) -> bool:
        # Once MLflow has reported a version in production, the API is downloading it.
        return self._is_ready() or (self._in_production is None and self._ask_mlflow() is False)

    def _ask_mlflow(self) -> bool | None:
        self._in_production = mlflow_server.has_production(self.mlflow_url, self.model_name)
        if self.mlflow_answers:
            self._announce()
        return self._in_production

    def _announce(self) -> None:
        """Publish the addresses to the other commands of this home."""
        self._lock.announce(mlflow_url=self.mlflow_url if self.mlflow_answers else None, api_url=self.api_url)

    @property
    def mlflow_answers(self) -> bool:
        return self._in_production is not None

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.api_url}/ready", timeout=2, trust_env=False, verify=NO_TLS).is_success
        except httpx.HTTPError:
            return False

    def _wait_ready(self) -> None:
        with self._output.waiting("Waiting for the API to load the model"):
            ready = self._processes.wait(self._is_ready, timeout_seconds=API_START_SECONDS)
        if not ready:
            raise TemporaryError(
                f"the API at {self.api_url} loaded no model within {API_START_SECONDS} s; "
                f"see {self._home.logs / 'api.log'}"
            )

    def _make_data(self) -> None:
        if not self._sample.exists():
            self._churn(
                "data", "generate", "--rows", str(self._options.rows), "--seed", str(self._options.seed),
                "--out", str(self._sample), *self._contract_option(),
            )  # fmt: skip

    def _train(self) -> None:
        self._make_data()
        self._churn(
            "train", "--data", str(self._sample), "--model-name", self.model_name, "--promote",
            "--tracking-uri", self.mlflow_url, *self._contract_option(),
        )  # fmt: skip

    def _contract_option(self) -> tuple[str, ...]:
        return () if self._options.contract_file is None else ("--contract", str(self._options.contract_file))

    def _churn(self, *arguments: str) -> None:
        # In a separate process, so that the memory of the training is freed when it ends.
        code = self._processes.run(
            [sys.executable, "-m", "ops.cli", *arguments],
            os.environ | MLFLOW_CLIENT,
            stdout=sys.stderr.fileno() if self._output.as_json else None,
        )
        if code:
            error = OpsError if code == ExitCode.BAD_INPUT else TemporaryError
            raise error(f"'churn {arguments[0]}' failed with exit code {code}; its message is above")

    def _served_contract(self) -> Contract:
        """Return the contract of the model in production.

        Raises:
            OpsError: it is not the one that the options name.
        """
        contract = Contract.model_validate_json(self._ask("GET", paths.DEFAULT.contract).content)
        if self._contract is not None and contract.sha256 != self._contract.sha256:
            raise OpsError(
                f"the model in production in {self._home.root} has the contract {contract.name!r} "
                f"({contract.sha256[:8]}), not {self._contract.name!r} ({self._contract.sha256[:8]}) of "
                f"{self._options.contract_file}. Set CHURN_HOME to another folder to start with that one; or replace "
                f"the model: `churn train --data FILE --contract {self._options.contract_file}`, then `churn promote`"
            )
        return contract

    def predict_example(self) -> dict[str, Any]:
        """Predict for the contract's example customer, as a client would."""
        prediction: dict[str, Any] = self._ask("POST", paths.DEFAULT.predict, json=self.contract.customer).json()
        return prediction

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send the API a request with the demo key; the answer must be good."""
        answer = httpx.request(
            method,
            f"{self.api_url}{path}",
            headers={"X-API-Key": self.key},
            timeout=10,
            trust_env=False,
            verify=NO_TLS,
            **request,
        )
        if not answer.is_success:
            raise TemporaryError(f"{method} {path} was answered with {answer.status_code}: {answer.text}")
        return answer

    def seconds(self) -> float:
        """Return the seconds since the command started."""
        return time.monotonic() - self._options.started

    def curl(self) -> str:
        """Return a shell command that makes a prediction."""
        body = json.dumps(self.contract.customer, separators=(",", ":"))
        return (
            f"curl -s {self.api_url}/v1/predict -H {shlex.quote('X-API-Key: ' + self.key)} "
            f"-H 'Content-Type: application/json' -d {shlex.quote(body)}"
        )

    def watch(self) -> None:
        """Watch the servers until interrupted; once MLflow answers, train if no version is in production any more.

        Raises:
            ServiceDiedError: a server ended by itself.
        """
        if not self.mlflow_answers:
            self._processes.wait(lambda: self._ask_mlflow() is not None)
            self._output.say(f"MLflow answers at {self.mlflow_url}")
            if self._in_production is False:
                self._output.say("No version is in production any more: training one", "yellow")
                self._train()
        self._processes.wait(lambda: False)
