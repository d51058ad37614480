# ruff: noqa: T201  # a program prints
"""Training as a job of the cluster: ``python -m ops.jobs.retrain``.

The login comes from files, since that is how secrets reach a pod, and the pushgateway is told the outcome. The training
itself is that of ``churn train``. This stays a program of its own because a job needs other exit codes: a refused
version is 2 here, so that Kubernetes does not train the same again.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

from app.names import MLFLOW_CLIENT, MODEL_NAME, PRODUCTION, check_model
from ops import metric_names
from ops.errors import ExitCode, OpsError
from ops.jobs import drift
from ops.jobs.logins import Login
from ops.pushgateway import push
from ops.termination import exit_on_sigterm
from training.threads import limit_threads

if TYPE_CHECKING:
    from app.contract import Contract
    from training.result import TrainResult

Verdict = Literal["staged", "refused", "bad_input", "failed"]
EXIT_CODES: Final[dict[Verdict, ExitCode]] = {
    "staged": ExitCode.DONE,
    "failed": ExitCode.FAILED,
    "refused": ExitCode.BAD_INPUT,
    "bad_input": ExitCode.BAD_INPUT,
}
MIN_ROWS: Final = 1000
JOB: Final = "training"
"""Group of the metrics at the pushgateway."""

_EPILOG: Final = """\
environment:
  MLFLOW_TRACKING_URI      address of MLflow
  MLFLOW_CREDENTIALS_DIR   folder with the files username and password, if MLflow requires a login
  PUSHGATEWAY_URL          pushgateway to report the outcome to, if there is one

Exit code: 0 staged, or nothing to do; 1 the registry failed, and another try may succeed; 2 the data or an option is
wrong, or a gate refused the version.
"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line chose: the model, a file or a number of customers to generate, and when to train at all."""

    model_name: str
    contract: Path | None
    data: str | None
    rows: int | None
    data_seed: int
    first: bool
    when_drifting: str | None
    not_within_hours: float

    @classmethod
    def parse(cls, arguments: Sequence[str] | None) -> Options:
        """Read the command line; wrong usage ends the program with exit code 2."""
        return cls(**vars(_parser().parse_args(arguments)))


def _model_name(text: str) -> str:
    try:
        return check_model(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _row_count(text: str) -> int:
    rows = int(text)
    if rows < MIN_ROWS:
        raise argparse.ArgumentTypeError(f"{rows} customers are too few: generate at least {MIN_ROWS}")
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
    source.add_argument("--rows", type=_row_count, metavar="N", help="generate N customers and train on them")
    parser.add_argument(
        "--model-name",
        type=_model_name,
        default=MODEL_NAME,
        metavar="NAME",
        help="registered model of the new version, and its experiment (default: %(default)s)",
    )
    parser.add_argument(
        "--contract",
        type=Path,
        metavar="FILE",
        help="what the customers look like, a YAML file (default: those of the public Telco data)",
    )
    parser.add_argument(
        "--data-seed",
        type=int,
        default=datetime.now(UTC).toordinal(),
        metavar="SEED",
        help="seed of the generated customers; changes daily by default, as real customers do (today: %(default)s)",
    )
    parser.add_argument(
        "--first", action="store_true", help="also promote the version; do nothing if one is in production already"
    )
    parser.add_argument(
        "--when-drifting",
        metavar="URL",
        help="train only if a drift alert about the model fires in the Prometheus at URL",
    )
    parser.add_argument(
        "--not-within-hours",
        type=float,
        default=0.0,
        metavar="H",
        help="with --when-drifting: do not train if a run has staged a version of the model in the last H hours",
    )
    return parser


def log_in(environ: MutableMapping[str, str]) -> None:
    """Put the login of the mounted files into the environment, the only place where MLflow's client looks for it.

    Raises:
        OpsError: a file is missing or empty.
    """
    if folder := environ.get("MLFLOW_CREDENTIALS_DIR"):
        login = Login.read(Path(folder))
        environ["MLFLOW_TRACKING_USERNAME"] = login.username
        environ["MLFLOW_TRACKING_PASSWORD"] = login.password


@contextmanager
def customers(options: Options, contract: Contract | None) -> Iterator[str]:
    """Yield the file to train on; generated customers are deleted afterwards."""
    if options.rows is None:
        yield str(options.data)
        return
    from training import contract_rows, generate  # noqa: PLC0415  # after the thread counts are set

    with tempfile.TemporaryDirectory() as folder:
        print(f"generate  {options.rows:,} customers, seed {options.data_seed}", flush=True)
        path = Path(folder) / "customers.parquet"
        if contract is None:
            generate.write(generate.GeneratorConfig(rows=options.rows, seed=options.data_seed), path)
        else:
            rows = contract_rows.RowsConfig(rows=options.rows, seed=options.data_seed)
            contract_rows.write(contract, rows, str(path))
        yield str(path)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended; ``result`` is None if it ended before there was one."""

    verdict: Verdict
    result: TrainResult | None = None


def retrain(options: Options, tracking_uri: str) -> Outcome | None:
    """Train, stage, and with ``--first`` promote; returns None when there is nothing to do.

    Raises:
        DataError, ContractError: nothing was trained.
        RegistryError: MLflow does not answer, or refuses.
    """
    # Before anything large is imported: the hourly question has a pod of a quarter of a GiB.
    if options.when_drifting and not drift.calls_for_training(
        options.when_drifting, options.model_name, options.not_within_hours
    ):
        return None
    from app.schemas import telco  # noqa: PLC0415  # after the thread counts and the login are set
    from training.compare import last_promoted  # noqa: PLC0415  # likewise
    from training.config import TrainConfig  # noqa: PLC0415  # likewise
    from training.contract_option import chosen  # noqa: PLC0415  # likewise
    from training.ledger import DeletedVersion  # noqa: PLC0415  # likewise
    from training.mlflow_store import by_alias, connect  # noqa: PLC0415  # likewise
    from training.train import train  # noqa: PLC0415  # likewise

    contract = chosen(options.contract)
    client = connect(tracking_uri)
    serving = by_alias(client, options.model_name, PRODUCTION)
    # Deleting a version in MLflow deletes its aliases too, so the ledger is asked as well.
    if options.first and isinstance(gone := serving or last_promoted(client, options.model_name), DeletedVersion):
        print(
            f"version {gone.version} was in production and was deleted in MLflow, so another is not the first: "
            "`churn rollback` serves the one before it, `churn promote` any other",
            file=sys.stderr,
        )
        return Outcome(verdict="refused")
    if options.first and serving is not None:
        print(f"version {serving.version} is in production already: nothing to do")
        return None
    with customers(options, contract) as source:
        config = TrainConfig(
            source=source,
            contract=contract or telco(),
            tracking_uri=tracking_uri,
            model_name=options.model_name,
            experiment=options.model_name,
        )
        result = train(config, on_stage=lambda stage, detail: print(f"{stage:<9} {detail}", flush=True))
    for gate in result.gates:
        print(f"  gate {gate.name:<12} {gate}")
    for warning in result.warnings:
        print(f"  warning           {warning}")
    if not result.staged:
        print(f"version {result.version} is registered but refused: no alias moved", file=sys.stderr)
        return Outcome(verdict="refused", result=result)
    print(f"version {result.version} is staged: AUC {result.metrics['auc'].value:.4f} on {result.rows:,} customers")
    verdict: Verdict = _promote_first(options.model_name, result.version, tracking_uri) if options.first else "staged"
    return Outcome(verdict=verdict, result=result)


def _promote_first(model_name: str, version: str, tracking_uri: str) -> Literal["staged", "refused"]:
    """Promote the first version of a stack."""
    from training import registry  # noqa: PLC0415  # after the thread counts and the login are set

    try:
        move = registry.promote(tracking_uri, model_name, version, reason="first version of the stack")
    except (registry.DecisionNeededError, registry.GateRefusedError) as error:
        # Another try would raise the same question: a person promotes the version, or trains on other data.
        print(error, file=sys.stderr)
        return "refused"
    print(f"version {move.to_version} is in production")
    return "staged"


def figures(outcome: Outcome, seconds: float, now: float) -> dict[str, float]:
    """Return the metrics of a run. After a failure the time of the last success is left out, and so stays as it is."""
    values = {metric_names.TRAINING_LAST_RUN: now, metric_names.TRAINING_DURATION: seconds}
    for verdict in get_args(Verdict):
        values[metric_names.series(metric_names.TRAINING_VERDICT, verdict=verdict)] = float(verdict == outcome.verdict)
    if outcome.result is not None:
        values[metric_names.TRAINING_ROWS] = outcome.result.rows
        values[metric_names.TRAINING_AUC] = outcome.result.metrics["auc"].value
    if outcome.verdict == "staged":
        values[metric_names.TRAINING_LAST_SUCCESS] = now
    return values


def _attempt(options: Options, tracking_uri: str) -> Outcome | None:
    """Retrain; a failure that an operator can act on becomes a verdict and a line on stderr."""
    from training.contract_file import ContractError  # noqa: PLC0415  # after the thread counts are set
    from training.mlflow_store import RegistryError  # noqa: PLC0415  # likewise
    from training.violations import DataError  # noqa: PLC0415  # likewise

    try:
        log_in(os.environ)
        return retrain(options, tracking_uri)
    except (DataError, ContractError) as error:
        print(error, file=sys.stderr)
        return Outcome(verdict="bad_input")
    except (RegistryError, OpsError) as error:
        print(error, file=sys.stderr)
        return Outcome(verdict="failed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = Options.parse(arguments)
    exit_on_sigterm()  # so that MLflow's run is closed as failed
    os.environ.update(MLFLOW_CLIENT)
    limit_threads()
    tracking_uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not tracking_uri:
        print("MLFLOW_TRACKING_URI is not set: set it to the address of MLflow", file=sys.stderr)
        return ExitCode.BAD_INPUT
    started = time.monotonic()
    outcome: Outcome | None = Outcome(verdict="failed")
    try:
        outcome = _attempt(options, tracking_uri)
    finally:
        if outcome is not None:
            # A group of its own for each model: in a common one, the newest run would replace the others' figures.
            values = figures(outcome, time.monotonic() - started, time.time())
            push(os.environ.get("PUSHGATEWAY_URL"), JOB, values, model=options.model_name)
    return EXIT_CODES[outcome.verdict] if outcome is not None else ExitCode.DONE


if __name__ == "__main__":
    raise SystemExit(main())
