# ruff: noqa: T201  # a command prints
"""Train a model and register it: ``churn train``, or ``python -m training.train``.

Nothing heavy is imported here before the thread counts are set, because the numerical libraries read them only
once (:mod:`training.threads`); it also keeps ``--help`` quick.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from training.config import CostModel, TrainConfig
from training.threads import limit_threads

if TYPE_CHECKING:
    from training.result import TrainResult

EXIT_REFUSED = 1
EXIT_BAD_INPUT = 2

_EPILOG = """\
The version is registered in MLflow with everything that serving needs. When it passes its gates (ONNX equals the
native model, no leak, calibrated, not worse than production) the alias `staging` moves to it; `churn promote` then
puts it into production.

Exit code: 0 staged; 1 a gate refused the version, or the registry failed; 2 the data or an option is wrong.

  python -m training.train --data customers.csv
  python -m training.train --data s3://bucket/customers.parquet --model auto --tracking-uri http://mlflow:5000
"""


def quiet(_stage: str, _detail: str) -> None:
    """Report no progress."""


def train(config: TrainConfig, *, on_stage: Callable[[str, str], None] = quiet) -> TrainResult:
    """Train, evaluate, register, and stage the version unless a gate refuses it.

    Args:
        config: what to train on and how.
        on_stage: called with a stage's name and a line about it when it begins.

    Raises:
        DataError: the file has violations, all of them in the message; nothing was trained.
        RegistryError: MLflow does not answer, or refuses.
    """
    limit_threads()
    from training.stages import run  # noqa: PLC0415  # loads the libraries the line above is about

    return run(config, on_stage)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.train",
        description="Train a churn model on a file of customers and register it in MLflow.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = CostModel()
    parser.add_argument("--data", required=True, metavar="FILE", help="CSV or Parquet, a local path or s3://bucket/key")
    parser.add_argument(
        "--tracking-uri",
        default=os.environ.get("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000"),
        metavar="URL",
        help="of the MLflow server (default: MLFLOW_TRACKING_URI, else http://127.0.0.1:5000)",
    )
    parser.add_argument(
        "--model",
        default="logistic_regression",
        choices=["auto", "logistic_regression", "gradient_boosting"],
        help="auto takes the better one in cross-validation (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=7, help="of split, folds and bootstrap (default: %(default)s)")
    parser.add_argument("--model-name", default="churn", help="name of the registered model (default: %(default)s)")
    cost = parser.add_argument_group("cost model", "in the currency of monthly_charges; the threshold follows from it")
    cost.add_argument("--offer-cost", type=float, default=default.offer_cost, help="default: %(default)g")
    cost.add_argument("--customer-value", type=float, default=default.customer_value, help="default: %(default)g")
    cost.add_argument(
        "--retained-share", type=float, default=default.retained_share, help="kept by an offer (default: %(default)g)"
    )
    return parser


def _show(result: TrainResult) -> None:
    for name, metric in result.metrics.items():
        print(f"  {name:<18} {metric.value:8.4f}   95 % interval {metric.low:.4f} to {metric.high:.4f}")
    for gate in result.gates:
        print(f"  gate {gate.name:<13} {gate}")
    for warning in result.warnings:
        print(f"  warning            {warning}")
    print(f"{result.model_type}, version {result.version}, run {result.run_id}, {sum(result.seconds.values()):.1f} s")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        config = TrainConfig(
            source=options.data,
            model=options.model,
            seed=options.seed,
            tracking_uri=options.tracking_uri,
            model_name=options.model_name,
            cost=CostModel(
                offer_cost=options.offer_cost,
                customer_value=options.customer_value,
                retained_share=options.retained_share,
            ),
        )
    except ValidationError as error:
        for problem in error.errors():
            print(f"{'.'.join(map(str, problem['loc'])) or 'cost model'}: {problem['msg']}", file=sys.stderr)
        return EXIT_BAD_INPUT
    return _run(config)


def _run(config: TrainConfig) -> int:
    limit_threads()
    from training.mlflow_store import RegistryError  # noqa: PLC0415  # after the thread counts are set
    from training.violations import DataError  # noqa: PLC0415  # likewise

    try:
        result = train(config, on_stage=lambda stage, detail: print(f"{stage:<9} {detail}", flush=True))
    except DataError as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_INPUT
    except RegistryError as error:
        print(error, file=sys.stderr)
        return EXIT_REFUSED
    _show(result)
    if not result.staged:
        print(f"version {result.version} is registered but refused: no alias moved", file=sys.stderr)
        return EXIT_REFUSED
    print(f"alias `staging` points to version {result.version}; `churn promote` puts it into production")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
