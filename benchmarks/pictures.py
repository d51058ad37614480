"""``python -m benchmarks.pictures``: redraws docs/pictures from a separate embedded platform, with a browser."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from rich.console import Console
from rich.text import Text

from app.names import MODEL_NAME, PRODUCTION
from app.schemas import telco
from benchmarks.browser import Browser, browser
from benchmarks.contender import ROOT
from benchmarks.errors import BenchError
from ops.errors import OpsError
from ops.local.home import Home
from ops.local.ports import free_port
from ops.plain_http import NO_TLS
from training.addresses import runs_address

FOLDER: Final = ROOT / "docs" / "pictures"
_START_SECONDS: Final = 300.0
_STOP_SECONDS: Final = 30.0
_COLUMNS: Final = 118
_MANY_ROWS: Final = 4_000_000
"""Enough customers to take some seconds, so that there is progress to show."""
_RATE: Final = "rows/s"
_REDRAWN: Final = re.compile(r"\r?(?:\x1b\[2K|\x1b\[1A)+")
"""Escape sequences that move the cursor up, which a progress display sends before it redraws itself."""
_SHUT_ASSISTANT: Final = {
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.assistant.panelOpen_v1": "false",
}
"""MLflow's pages open a chat panel the first time; a browser remembers that its reader closed it."""


@dataclass(frozen=True, kw_only=True)
class Platform:
    """A running ``churn up``, and what other commands need to use it."""

    mlflow_url: str
    api_url: str
    folder: Path
    environment: Mapping[str, str]

    def churn(self, *arguments: str) -> list[str]:
        """Run a command in the platform's folder, on its own terminal; returns each screen that the terminal showed.

        A refused version is a valid outcome, so the exit code is ignored.
        """
        return on_terminal([sys.executable, "-m", "ops.cli", *arguments], self.folder, self.environment)


@contextmanager
def platform(folder: Path) -> Iterator[Platform]:
    """Start an embedded platform with one trained version, which is stopped at the end.

    Raises:
        BenchError: it ended, or does not serve within five minutes.
    """
    api, mlflow = free_port(8700), free_port(5700)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("CHURN_", "MLFLOW_"))}
    environment = inherited | {"CHURN_HOME": str(folder / "home"), "CHURN_ACTOR": "ann", "LOGNAME": "ann"}
    home = Home(folder / "home")
    log = folder / "up.log"
    command = [sys.executable, "-m", "ops.cli", "up", "--port", str(api), "--mlflow-port", str(mlflow)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)  # noqa: S603 - our own command
    try:
        mlflow_url, api_url = _serving(process, home, log)
        yield Platform(mlflow_url=mlflow_url, api_url=api_url, folder=folder, environment=environment)
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)


def _serving(process: subprocess.Popen[bytes], home: Home, log: Path) -> tuple[str, str]:
    """The addresses of MLflow and the API, once the API serves."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        running = home.running()
        if running and running.mlflow_url and running.api_url and _is_ready(running.api_url):
            return running.mlflow_url, running.api_url
        time.sleep(1)
    raise BenchError(f"the platform does not serve; the end of its output:\n{log.read_text()[-2000:]}")


def _is_ready(api_url: str) -> bool:
    try:
        return httpx.get(f"{api_url}/ready", timeout=5, trust_env=False, verify=NO_TLS).is_success
    except httpx.HTTPError:
        return False


def on_terminal(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Run a command on a pseudo-terminal; returns each screen that it showed before redrawing it."""
    terminal, end = pty.openpty()
    size = {"COLUMNS": str(_COLUMNS), "LINES": "60", "TERM": "xterm-256color"}
    with subprocess.Popen(  # noqa: S603 - our own command
        command, cwd=folder, env={**environment, **size}, stdin=end, stdout=end, stderr=end
    ):
        os.close(end)
        chunks = []
        try:
            while chunk := os.read(terminal, 65536):
                chunks.append(chunk)
        except OSError:  # on Linux this means that the other end was closed
            pass
        finally:
            os.close(terminal)
    return [shown.replace("\r\n", "\n") for shown in _REDRAWN.split(b"".join(chunks).decode("utf-8"))]


def fill(on: Platform) -> tuple[str, str]:
    """Train two more versions, one that goes into production and one that is refused, and score a large file.

    Returns:
        the final screen of the first command, and one from halfway through the last.
    """
    october, november = "october.parquet", "november.parquet"
    on.churn("data", "generate", "--rows", "10000", "--seed", "8", "--out", october)
    mixed_up = pd.read_parquet(on.folder / october)
    label = telco().label.name
    mixed_up[label] = np.random.default_rng(3).permutation(mixed_up[label])
    mixed_up.to_parquet(on.folder / november)
    at = ("--tracking-uri", on.mlflow_url)
    trained = on.churn("train", "--data", october, "--promote", *at)[-1]
    on.churn("train", "--data", november, "--model", "gradient_boosting", *at)
    on.churn("data", "generate", "--rows", str(_MANY_ROWS), "--out", "everybody.parquet")
    scored = [shown for shown in on.churn("score", "everybody.parquet", "scores.parquet", *at) if _RATE in shown]
    if not scored:
        raise BenchError("scoring showed no progress")
    return trained, scored[len(scored) // 2]


def draw_terminal(window: Browser, shown: str, folder: Path, *, picture: str, waits_for: str) -> None:
    """Draw what a terminal showed, as a page with the same colours."""
    with (folder / "discarded.txt").open("w", encoding="utf-8") as discarded:
        console = Console(file=discarded, record=True, width=_COLUMNS, force_terminal=True)
        console.print(Text.from_ansi(shown), soft_wrap=False)
    page = folder / "terminal.html"
    page.write_text(console.export_html(inline_styles=True), encoding="utf-8")
    window.open(page.as_uri(), shows=waits_for)
    height = int(window.run("return document.body.scrollHeight"))
    window.picture(FOLDER / picture, height=height + 16)


def draw_mlflow(window: Browser, on: Platform) -> None:
    """Draw MLflow's pages of the experiment, a run, the registered model and a version."""
    client = MlflowClient(on.mlflow_url)
    production = client.get_model_version_by_alias(MODEL_NAME, PRODUCTION)
    run = client.get_run(str(production.run_id))
    experiment = run.info.experiment_id
    training = "?workflowType=machine_learning"
    window.open(on.mlflow_url, shows="Settings")
    window.remember(_SHUT_ASSISTANT)
    window.open(f"{on.mlflow_url}/{runs_address(experiment)}", shows="average_precision")
    window.picture(FOLDER / "mlflow-runs.png", height=560)
    window.open(f"{on.mlflow_url}/#/experiments/{experiment}/runs/{run.info.run_id}{training}", shows="Parameters (")
    window.picture(FOLDER / "mlflow-run.png", height=1150)
    window.click("Show more")
    window.picture(FOLDER / "mlflow-model-card.png", height=2300)
    window.open(f"{on.mlflow_url}/#/models/{MODEL_NAME}{training}", shows="Last moves")
    window.picture(FOLDER / "mlflow-model.png", height=1000)
    version = f"{on.mlflow_url}/#/models/{MODEL_NAME}/versions/{production.version}{training}"
    window.open(version, shows="Figures on the holdout")
    window.picture(FOLDER / "mlflow-version.png", height=1000)


def main() -> int:
    """Draw every picture; returns the exit code."""
    try:
        with tempfile.TemporaryDirectory(prefix="churn-pictures-") as scratch, browser() as window:
            folder = Path(scratch)
            with platform(folder) as on:
                trained, scoring = fill(on)
                draw_terminal(window, trained, folder, picture="train.png", waits_for="Registered version")
                draw_terminal(window, scoring, folder, picture="score.png", waits_for=_RATE)
                draw_mlflow(window, on)
                window.open(f"{on.api_url}/docs", shows="/v1/predict/batch")
                window.picture(FOLDER / "api-docs.png", height=1000)
    except (BenchError, OpsError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"written to {FOLDER}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
