"""The embedded platform with its real processes: MLflow, the API, training, and the watchdog that ends them."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import pytest
from support.servers import HOST, Server, free_port, require_tool, wait_until

from ops.local import monitoring

pytestmark = [pytest.mark.service, pytest.mark.long(seconds=90, together=__name__)]

CHURN = [sys.executable, "-m", "ops.cli"]
SERVING = "Press Ctrl-C to stop."


class Up(Server):
    """``churn up`` on a home; its output is in :attr:`output`."""

    def __init__(self, home: Path, folder: Path, *, port: int | None = None) -> None:
        port = port or free_port()
        command = [*CHURN, "up", "--port", str(port), "--mlflow-port", str(free_port())]
        super().__init__(command, folder, port=port, environment={"CHURN_HOME": str(home)})

    def is_up(self) -> bool:
        return SERVING in self.output

    def url_of(self, name: str) -> str:
        match = re.search(rf"{name} +(http\S+)", self.output)
        assert match, self.output
        return match[1]

    def family(self) -> list[psutil.Process]:
        """All that it started: watchdog, MLflow and its worker, API."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def __enter__(self) -> Self:
        self.start()
        return self


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; an orphan that ended stays a zombie until init looks."""
    return [p for p in processes if p.is_running() and _status(p) != psutil.STATUS_ZOMBIE]


def _status(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return psutil.STATUS_ZOMBIE


def registry_of(api_url: str) -> dict[str, Any]:
    """What the API tells of the registry."""
    registry: dict[str, Any] = httpx.get(f"{api_url}/ready", trust_env=False).json()["registry"]
    return registry


def mlflow_answers(up: Up) -> bool:
    return "MLflow answers" in up.output


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """An empty home, its path with a space in it, and what ``churn demo`` did there."""
    home = tmp_path_factory.mktemp("embedded") / "ho me"
    started = time.time()
    ports = ["--port", str(free_port()), "--mlflow-port", str(free_port())]
    done = subprocess.run(
        [*CHURN, "demo", "--json", "--rows", "2000", *ports],
        env={"CHURN_HOME": str(home), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    left = [p for p in psutil.process_iter() if p.create_time() >= started and str(home) in " ".join(_command(p))]
    assert not alive(left)
    return home, done


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.fixture
def home(demo: tuple[Path, subprocess.CompletedProcess[str]]) -> Path:
    """A home with a model in production."""
    path, done = demo
    assert done.returncode == 0, done.stderr
    return path


def test_demo_in_an_empty_home_makes_a_real_prediction(
    demo: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    home, done = demo
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert 0 < result["prediction"]["churn_probability"] < 1
    assert result["prediction"]["model_version"] == "1"
    assert "Version 1 is now 'production'" in done.stderr
    assert (home / "demo-key").read_text().strip() not in done.stdout + done.stderr


def test_up_serves_the_model_that_is_there_until_ctrl_c(home: Path, tmp_path: Path) -> None:
    shell, _ = require_tool("sh"), require_tool("curl")
    with socket.create_server((HOST, 0)) as taken, Up(home, tmp_path, port=taken.getsockname()[1]) as up:
        assert f"Port {up.port} is in use: the API uses" in up.output
        assert "Registered version" not in up.output
        curl = next(line for line in up.output.splitlines() if line.startswith("curl "))
        answer = subprocess.run([shell, "-c", curl], capture_output=True, check=True)
        assert json.loads(answer.stdout)["model_version"] == "1"
        for name in ("API documentation", "Metrics"):
            assert httpx.get(up.url_of(name), trust_env=False).is_success

        second = subprocess.run(
            [*CHURN, "up"], env={"CHURN_HOME": str(home)}, capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        where = up.url_of("Predictions").removesuffix("/v1/predict")
        assert f"'churn up' runs as process {up.process.pid}, serving at {where}" in second.stderr
        assert "Traceback" not in second.stderr

        wait_until(lambda: mlflow_answers(up), "MLflow answers")
        wait_until(lambda: registry_of(where)["reachable"], "the API has looked the alias up")
        assert registry_of(where)["moved_by_hand"] is None, "churn promoted it"
        family = up.family()
        monitored = ["Prometheus", "Alertmanager"] if monitoring.installed() else []
        assert all(httpx.get(f"{up.url_of(name)}/-/ready", trust_env=False).is_success for name in monitored)
        assert len(family) == 4 + len(monitored)
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(30) == 0
        assert not alive(family)
        assert "Stopped" in up.output


def test_sigkill_leaves_no_child(home: Path, tmp_path: Path) -> None:
    with Up(home, tmp_path) as up:
        family = up.family()
        assert len(family) >= 3
        up.process.kill()
        wait_until(lambda: not alive(family), f"their end: {family}")


def test_a_server_that_dies_is_named_and_the_rest_is_stopped(home: Path, tmp_path: Path) -> None:
    with Up(home, tmp_path) as up:
        family = up.family()
        mlflow = next(p for p in family if "mlflow" in p.cmdline())
        mlflow.kill()
        assert up.process.wait(30) == 1
        assert "mlflow ended by SIGKILL" in up.output
        assert "Traceback" not in up.output
        assert not alive(family)
