"""``python -m benchmarks.training``: measures time and memory of training and file scoring; writes docs/training.md."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Final

from app.names import MLFLOW_CLIENT, STAGING
from benchmarks import machine, report, sections
from benchmarks.contender import ROOT
from benchmarks.errors import BenchError
from benchmarks.machine import MIB
from ops.local import mlflow_server
from ops.local.home import Home

DOCUMENT: Final = ROOT / "docs" / "training.md"
MODELS: Final = ("logistic_regression", "gradient_boosting")
TELCO_ROWS: Final = 7_043
LARGE_ROWS: Final = 1_000_000
HUGE_ROWS: Final = 10_000_000

_TEXT: Final = Template("""\
# Training and scoring: time and memory

Written by `make bench-training` on $date; no figure is typed by hand. Each row is one `churn` command in its own
process, from start to end, imports and MLflow logging included; the MLflow server is another process. Memory is the
peak resident memory of the command's process.

$machine

## Training

On $cores cores. The first AUC is that of five-fold cross-validation (on at most 50,000 training rows), the second that
of the hold-out. "ceiling" is the AUC of the true probabilities, if they are known.

$training

## Scoring a file

`churn score in.parquet out.parquet` on one core, every row validated.

$scoring
""")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The measurements of one command: wall-clock seconds, peak resident memory, and its JSON output."""

    seconds: float
    peak_mib: float
    answer: dict[str, Any]


def measure(arguments: Sequence[str], env: dict[str, str], *, cores: set[int]) -> Measured:
    """Run ``churn`` with ``--json`` on these cores.

    Raises:
        BenchError: it failed.
    """
    pinned = ["taskset", "--cpu-list", ",".join(map(str, sorted(cores)))]
    command = [*pinned, sys.executable, "-m", "ops.cli", *arguments, "--json"]
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.DEVNULL)  # noqa: S603 - our own
        # wait4 returns the resources of this one child.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        out.seek(0)
        text = out.read()
    if process.returncode:
        raise BenchError(f"churn {' '.join(arguments)} ended with exit code {process.returncode}")
    return Measured(seconds=seconds, peak_mib=usage.ru_maxrss * 1024 / MIB, answer=json.loads(text))


def _train(data: Path, rows: int, url: str, env: dict[str, str], cores: set[int]) -> list[tuple[str, ...]]:
    truth = data.with_suffix(".truth.json")
    ceiling = f"{json.loads(truth.read_text('utf-8'))['ceiling']['auc']:.4f}" if truth.exists() else "-"
    lines: list[tuple[str, ...]] = []
    for model in MODELS:
        done = measure(["train", "--data", str(data), "--model", model, "--tracking-uri", url], env, cores=cores)
        folds = done.answer["cross_validation"][0]["auc"]
        lines.append(
            (
                f"{rows:,}",
                model,
                f"{done.seconds:.1f}",
                f"{done.peak_mib:,.0f}",
                f"{sum(folds) / len(folds):.4f}",
                f"{done.answer['metrics']['auc']['value']:.4f}",
                ceiling,
            )
        )
    return lines


def _score(data: Path, rows: int, url: str, env: dict[str, str], core: int) -> tuple[str, ...]:
    out = data.with_name(f"{data.stem}-scores.parquet")
    done = measure(["score", str(data), str(out), "--model", STAGING, "--tracking-uri", url], env, cores={core})
    if done.answer["rows"] != rows:
        raise BenchError(f"{done.answer['rows']} of {rows} rows were scored")
    return f"{rows:,}", f"{done.seconds:.1f}", f"{rows / done.seconds:,.0f}", f"{done.peak_mib:,.0f}"


def run(work: Path) -> str:
    """Measure everything in ``work`` and return the document."""
    cores = os.sched_getaffinity(0)
    home = Home(work)
    env = {**os.environ, **MLFLOW_CLIENT, "CHURN_HOME": str(work)}
    telco, large, huge = (work / f"{name}.parquet" for name in ("telco", "large", "huge"))
    measure(["data", "telco", "--out", str(telco)], env, cores=cores)
    for data, rows in ((large, LARGE_ROWS), (huge, HUGE_ROWS)):
        measure(["data", "generate", "--rows", str(rows), "--seed", "7", "--out", str(data)], env, cores=cores)
    with mlflow_server.tracking_server(home, "the benchmark", None) as url:
        training = _train(telco, TELCO_ROWS, url, env, cores) + _train(large, LARGE_ROWS, url, env, cores)
        logistic = ["train", "--data", str(large), "--tracking-uri", url]
        measure(logistic, env, cores=cores)  # the version that is staged last does the scoring
        scoring = [_score(data, rows, url, env, min(cores)) for data, rows in ((large, LARGE_ROWS), (huge, HUGE_ROWS))]
    facts = machine.describe()
    return _TEXT.substitute(
        date=facts.date,
        machine=report.table(
            ("Machine", ""),
            [("processor", facts.cpu), ("memory", f"{facts.memory_gib:.0f} GiB"), ("Python", facts.python)],
        ),
        cores=len(cores),
        training=report.table(
            ("Rows", "Model", "seconds", "peak MiB", "AUC, 5 folds", "AUC, hold-out", "ceiling"), training
        ),
        scoring=report.table(("Rows", "seconds", "rows/s", "peak MiB"), scoring),
    )


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--out", type=Path, default=DOCUMENT, help="where to write (default: docs/training.md)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="churn-bench-") as work:
        try:
            text = run(Path(work))
        except BenchError as error:
            sys.stderr.write(f"{error}\n")
            return 2
    old = options.out.read_text("utf-8") if options.out.exists() else ""
    options.out.write_text(sections.with_section_of(old, text, "gates"), encoding="utf-8")
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
