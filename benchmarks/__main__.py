"""``python -m benchmarks``: measure, print the tables, write docs/performance.md."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from rich.console import Console

from benchmarks import bench as shared
from benchmarks import contenders, document, load, machine, model, models, report, sections, throttled
from benchmarks.bench import Bench
from benchmarks.contender import ROOT
from benchmarks.errors import BenchError
from benchmarks.groups import batch, overload, single, start
from benchmarks.groups.batch import Batch
from benchmarks.groups.single import Single
from benchmarks.load import Generator
from benchmarks.plan import FULL, QUICK
from benchmarks.results import Results
from benchmarks.targets import checks

GROUPS: Final = ("single", "batch", "start", "overload")
FOLDER: Final = ROOT / ".bench"
DOCUMENT: Final = ROOT / "docs" / "performance.md"

_DESCRIPTION: Final = """\
Compare the serving API with mlflow models serve, BentoML, MLServer, LitServe and plain baselines: one registered
model, one server on one core, the load generator on the other, medians of interleaved rounds."""
_EPILOG: Final = """\
A full run takes about a quarter of an hour and writes docs/performance.md. A quick run, or one group alone, prints its
tables and writes nothing unless --out is given. The first run installs the peers and the load generator under .bench/
(needs Go, a package index, and about 2 GB).

Exit code: 0 measured, 1 measured, but a target was missed (full runs only), 2 could not measure.

  python -m benchmarks                    everything, and the document
  python -m benchmarks --quick            everything, in rounds of one second, to see whether it works
  python -m benchmarks --only overload    one group"""


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="one short round of everything; the figures mean little")
    parser.add_argument("--only", choices=GROUPS, action="append", metavar="GROUP", help=f"one of {', '.join(GROUPS)}")
    parser.add_argument(
        "--out", type=Path, help="where to write the document (default for full runs: docs/performance.md)"
    )
    return parser


def run(*, quick: bool, only: Sequence[str], say: Console) -> Results:
    """Measure the groups in ``only``.

    Raises:
        BenchError: a part that everything depends on is missing or failed.
    """
    began = time.monotonic()
    cores = machine.take_cores()
    binary = load.ensure_vegeta(FOLDER / "bin")
    say.print("installing the peers where needed", style="dim")
    environments = contenders.environments(FOLDER / "venvs")
    work = FOLDER / "run"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    say.print("training and registering the model", style="dim")
    with model.registered(work / "home", cores.load) as served:
        customers = shared.customers()
        bench = Bench(
            plan=QUICK if quick else FULL,
            cores=cores,
            generator=Generator(binary, work / "load"),
            served=served,
            contenders=contenders.everything(served, environments, work),
            customers=customers,
            expected=model.native_scores(served, customers),
            work=work,
            say=lambda text: say.print(text, style="dim"),
        )
        bench.problems.update({c.name: c.problem for c in bench.contenders if c.problem})
        started = start.measure(bench) if "start" in only else None
        singles, batches = _throughput(bench, only)
        return Results(
            single=singles,
            batch=batches,
            start=started,
            overload=overload.measure(bench) if "overload" in only else None,
            machine=machine.describe(),
            plan=bench.plan,
            quick=quick,
            contenders=bench.contenders,
            problems=bench.problems,
            seconds=time.monotonic() - began,
        )


def _throughput(bench: Bench, only: Sequence[str]) -> tuple[Single | None, Batch | None]:
    """Measure the two groups that compare all servers; the servers are started once for both."""
    chosen = [c for c in bench.usable() if "single" in only or ("batch" in only and c.batch)]
    with shared.running(bench, chosen) as servers:
        return (
            single.measure(bench, servers) if "single" in only else None,
            batch.measure(bench, servers) if "batch" in only else None,
        )


def _stop(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    only = tuple(options.only or GROUPS)
    full = not options.quick and set(only) == set(GROUPS)
    # Raised as an exception, so that every server is stopped on the way out.
    signal.signal(signal.SIGTERM, _stop)
    try:
        results = run(quick=options.quick, only=only, say=Console(stderr=True, highlight=False))
    except BenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    sys.stdout.write(f"{report.tables(results)}\n")
    if out := options.out or (DOCUMENT if full else None):
        page = document.document(results, ROOT)
        old = out.read_text(encoding="utf-8") if out.exists() else ""
        for section in (models.SECTION, throttled.SECTION):
            page = sections.with_section_of(old, page, section)
        out.write_text(page, encoding="utf-8")
        sys.stdout.write(f"\nwritten to {out}\n")
    return 1 if full and any(check.passed is False for check in checks(results)) else 0


if __name__ == "__main__":
    raise SystemExit(main())
