# ruff: noqa: T201  # a program prints
"""Training as a job of the cluster: ``python -m ops.jobs.retrain``.

The login comes from files, since that is how secrets reach a pod; what became of the run goes to the pushgateway. The
training itself is that of ``churn train``.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Never, get_args

from app.names import MLFLOW_CLIENT, MODEL_NAME, PRODUCTION
from ops.errors import BAD_INPUT, OpsError
from ops.jobs import drift
from ops.jobs.logins import Login
from training.threads import limit_threads

if TYPE_CHECKING:
    from training.result import TrainResult

Verdict = Literal["staged", "refused", "bad_input", "failed"]
EXIT_CODES: Final[dict[Verdict, int]] = {"staged": 0, "failed": 1, "refused": BAD_INPUT, "bad_input": BAD_INPUT}
"""As of every program of a pod, 1 is for what may pass; a version that a gate refused would be refused again."""
ROWS_MIN: Final = 1000
JOB: Final = "training"
"""Group of the figures at the pushgateway."""
PUSH_SECONDS: Final = 10

_EPILOG: Final = """\
environment:
  MLFLOW_TRACKING_URI      address of MLflow
  MLFLOW_CREDENTIALS_DIR   folder with the files username and password, if MLflow wants a login
  PUSHGATEWAY_URL          where to tell what became of the run, if anywhere

Exit code: 0 staged, or nothing to do; 1 the registry failed, which may pass; 2 the data or an option is wrong, or a
gate refused the version.
"""


def _rows(text: str) -> int:
    rows = int(text)
    if rows < ROWS_MIN:
        raise argparse.ArgumentTypeError(f"{rows} customers are too few: generate at least {ROWS_MIN}")
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ops.jobs.retrain",
        description="Train a model and register it in MLflow, as a job of the cluster does.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", metavar="FILE", help="CSV or Parquet, a local path or s3://bucket/key")
    source.add_argument("--rows", type=_rows, metavar="N", help="generate so many customers and train on them")
    parser.add_argument(
        "--data-seed",
        type=int,
        default=datetime.now(UTC).toordinal(),
        metavar="SEED",
        help="of the generated customers; others every day by default, as customers change (today: %(default)s)",
    )
    parser.add_argument(
        "--first", action="store_true", help="also promote it; do nothing when a version is in production already"
    )
    parser.add_argument(
        "--when-drifting", metavar="URL", help="train only if the Prometheus there has an alert of drift that fires"
    )
    parser.add_argument(
        "--not-within-hours",
        type=float,
        default=0.0,
        metavar="H",
        help="with --when-drifting: and only if no run has staged a version for so long",
    )
    return parser


def log_in(environ: MutableMapping[str, str]) -> None:
    """Give MLflow's client the login of the mounted files; it takes one from its environment only.

    Raises:
        OpsError: a file is missing or empty.
    """
    if folder := environ.get("MLFLOW_CREDENTIALS_DIR"):
        login = Login.read(Path(folder))
        environ["MLFLOW_TRACKING_USERNAME"] = login.username
        environ["MLFLOW_TRACKING_PASSWORD"] = login.password


@contextmanager
def customers(options: argparse.Namespace) -> Iterator[str]:
    """The file to train on; generated ones are there as long as they are needed."""
    if options.data:
        yield options.data
        return
    from training.generate import GeneratorConfig, write  # noqa: PLC0415  # after the thread counts are set

    with tempfile.TemporaryDirectory() as folder:
        print(f"generate  {options.rows:,} customers, seed {options.data_seed}", flush=True)
        path = Path(folder) / "customers.parquet"
        write(GeneratorConfig(rows=options.rows, seed=options.data_seed), path)
        yield str(path)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a run; without a result it did not get that far."""

    verdict: Verdict
    result: TrainResult | None = None


def retrain(options: argparse.Namespace, tracking_uri: str) -> Outcome | None:
    """Train, stage, and with ``--first`` promote; None when there is nothing to do.

    Raises:
        DataError: nothing was trained.
        RegistryError: MLflow does not answer, or refuses.
    """
    from training import registry  # noqa: PLC0415  # after the thread counts and the login are set
    from training.config import TrainConfig  # noqa: PLC0415  # likewise
    from training.mlflow_store import by_alias, connect  # noqa: PLC0415  # likewise
    from training.train import train  # noqa: PLC0415  # likewise

    serving = by_alias(connect(tracking_uri), MODEL_NAME, PRODUCTION)
    if options.first and serving is not None:
        print(f"version {serving.version} is in production already: nothing to do")
        return None
    if options.when_drifting and not drift.calls_for_training(options.when_drifting, options.not_within_hours):
        return None
    with customers(options) as source:
        config = TrainConfig(source=source, tracking_uri=tracking_uri, model_name=MODEL_NAME)
        result = train(config, on_stage=lambda stage, detail: print(f"{stage:<9} {detail}", flush=True))
    for gate in result.gates:
        print(f"  gate {gate.name:<12} {gate}")
    for warning in result.warnings:
        print(f"  warning           {warning}")
    if not result.staged:
        print(f"version {result.version} is registered but refused: no alias moved", file=sys.stderr)
        return Outcome(verdict="refused", result=result)
    print(f"version {result.version} is staged: AUC {result.metrics['auc'].value:.4f} on {result.rows:,} customers")
    if options.first:
        try:
            move = registry.promote(tracking_uri, MODEL_NAME, result.version, reason="first version of the stack")
        except (registry.DecisionNeededError, registry.GateRefusedError) as error:
            # Trying again would ask the same again: a person promotes it, or trains on other data.
            print(error, file=sys.stderr)
            return Outcome(verdict="refused", result=result)
        print(f"version {move.to_version} is in production")
    return Outcome(verdict="staged", result=result)


def push(gateway: str, outcome: Outcome, seconds: float, now: float) -> None:
    """Tell the pushgateway what became of a run; a failure to do so is said, and changes nothing else.

    Figures are added to the group, not put in its place: after a run that failed, the time of the last success stays.
    """
    from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway  # noqa: PLC0415  # only with a gateway

    figures = CollectorRegistry()

    def gauge(name: str, documentation: str, value: float) -> None:
        Gauge(f"churn_training_{name}", documentation, registry=figures).set(value)

    gauge("last_run_timestamp_seconds", "When the last training run ended.", now)
    gauge("duration_seconds", "How long the last training run took.", seconds)
    verdicts = Gauge("churn_training_verdict", "1 for the last run's verdict.", ["verdict"], registry=figures)
    for verdict in get_args(Verdict):
        verdicts.labels(verdict).set(verdict == outcome.verdict)
    if outcome.result is not None:
        gauge("rows", "Customers the last trained model was made from.", outcome.result.rows)
        gauge("auc", "AUC of the last trained model on its holdout.", outcome.result.metrics["auc"].value)
    if outcome.verdict == "staged":
        gauge("last_success_timestamp_seconds", "When a training run last staged a version.", now)
    try:
        pushadd_to_gateway(gateway, job=JOB, registry=figures, timeout=PUSH_SECONDS)
    except (OSError, ValueError) as error:
        print(f"the pushgateway at {gateway} was not told of this run: {error}", file=sys.stderr)


def _judged(options: argparse.Namespace, tracking_uri: str) -> Outcome | None:
    """`retrain`, with failures that an operator can act on as a verdict and a line."""
    from training.mlflow_store import RegistryError  # noqa: PLC0415  # after the thread counts are set
    from training.violations import DataError  # noqa: PLC0415  # likewise

    try:
        log_in(os.environ)
        return retrain(options, tracking_uri)
    except DataError as error:
        print(error, file=sys.stderr)
        return Outcome(verdict="bad_input")
    except (RegistryError, OpsError) as error:
        print(error, file=sys.stderr)
        return Outcome(verdict="failed")


def _stop(signal_number: int, _frame: object) -> Never:
    """End in order: MLflow's run is closed as failed, and PID 1 of a container would ignore the signal otherwise."""
    raise SystemExit(128 + signal_number)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    os.environ.update(MLFLOW_CLIENT)
    limit_threads()
    tracking_uri, gateway = os.environ.get("MLFLOW_TRACKING_URI"), os.environ.get("PUSHGATEWAY_URL")
    if not tracking_uri:
        print("MLFLOW_TRACKING_URI is not set: name the address of MLflow", file=sys.stderr)
        return EXIT_CODES["bad_input"]
    started = time.monotonic()
    outcome: Outcome | None = Outcome(verdict="failed")
    try:
        outcome = _judged(options, tracking_uri)
    finally:
        if outcome is not None and gateway:
            push(gateway, outcome, time.monotonic() - started, time.time())
    return EXIT_CODES[outcome.verdict] if outcome is not None else 0


if __name__ == "__main__":
    raise SystemExit(main())
