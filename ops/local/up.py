"""Runs the embedded platform: sample data, training, MLflow and the API with nothing but Python.

``churn up`` keeps it in the foreground; ``churn demo`` brings it up, makes one prediction and ends it.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ops.console import Output
from ops.local import mlflow_server
from ops.local.embedded import Platform, UpOptions
from ops.local.home import Home
from ops.local.processes import ProcessGroup


def up(options: UpOptions, output: Output) -> None:
    """Bring the platform up and keep it running until SIGINT, SIGTERM or SIGHUP.

    Raises:
        OpsError: it cannot start; TemporaryError: a server ended.
    """
    try:
        with _platform("churn up", options, output) as platform:
            platform.bring_up()
            prediction = platform.predict_example()
            _announce(platform, prediction, platform.start_monitoring(), output)
            platform.watch()
    except KeyboardInterrupt:
        output.say("Stopped: every process that was started has ended.")


def demo(options: UpOptions, output: Output) -> None:
    """Bring the platform up, make one prediction, and end it.

    Raises:
        OpsError: any of it failed.
    """
    with _platform("churn demo", options, output) as platform:
        platform.bring_up()
        prediction = platform.predict_example()
        seconds = platform.seconds()
    output.result(
        {"prediction": prediction, "seconds": round(seconds, 1)},
        lambda: _show_prediction(platform, prediction, seconds, output),
    )


@contextmanager
def _platform(command: str, options: UpOptions, output: Output) -> Iterator[Platform]:
    home = Home.from_environment()
    with home.use(command) as lock, _interruptible(), ProcessGroup(home.logs) as processes:
        try:
            yield Platform(home, lock, processes, output, options)
        finally:
            # A second Ctrl-C must not leave processes behind; ending them takes a few seconds at most.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise KeyboardInterrupt, as SIGINT does; the old handlers are restored at the end."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    former = {n: signal.signal(n, interrupt) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _show_prediction(platform: Platform, prediction: dict[str, Any], seconds: float, output: Output) -> None:
    key = platform.contract.customer.get(platform.contract.key.name, f"of the contract {platform.contract.name}")
    output.say(f"First prediction after {seconds:.1f} s, for the example customer {key}:", "green")
    output.pairs([(name, json.dumps(value)) for name, value in prediction.items()])


def _announce(platform: Platform, prediction: dict[str, Any], monitoring: dict[str, str], output: Output) -> None:
    _show_prediction(platform, prediction, platform.seconds(), output)
    output.say()
    output.pairs(
        [
            ("API documentation", f"{platform.api_url}/docs"),
            ("Predictions", f"{platform.api_url}/v1/predict"),
            ("Metrics", f"{platform.api_url}/metrics"),
            (
                "MLflow",
                mlflow_server.training_page(platform.mlflow_url, platform.model_name)
                if platform.mlflow_answers
                else f"{platform.mlflow_url} (still starting)",
            ),
            *monitoring.items(),
        ]
    )
    output.say()
    output.say("Try it from another terminal:")
    output.say(platform.curl(), "cyan")
    output.say()
    output.say("Press Ctrl-C to stop.")
