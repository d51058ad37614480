"""``python -m benchmarks.gates``: measures how often the gates are wrong; writes a table into docs/training.md.

Every file consists of generated customers, whose truth is known, and is judged as by `churn train`, but without MLflow
and with the native scores in place of the exported ones.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from string import Template
from typing import Final

from training.threads import limit_threads

limit_threads()

from app.bundle import GateResult  # noqa: E402  # the libraries read the thread count once
from benchmarks import report, sections  # noqa: E402
from benchmarks.contender import ROOT  # noqa: E402
from benchmarks.gate_cases import Case, cases, dataset, loaded  # noqa: E402
from training import regression  # noqa: E402
from training.auc import auc  # noqa: E402
from training.config import TrainConfig  # noqa: E402
from training.data import Dataset  # noqa: E402
from training.fitting import Fitted, fit, validate  # noqa: E402
from training.generate import generate  # noqa: E402
from training.judge import judge  # noqa: E402
from training.pipeline import Labels, predict  # noqa: E402
from training.truth import GeneratorConfig  # noqa: E402
from training.violations import DataError  # noqa: E402

DOCUMENT: Final = ROOT / "docs" / "training.md"
SECTION: Final = "gates"
NOT_ENOUGH: Final = "not enough data"
SEEDS: Final = 200
CONFIG: Final = TrainConfig(source="generated", tracking_uri="unused")
OTHER_SEED: Final = 1_000_000
"""Added to the seed for the file that production was trained on."""

_TEXT: Final = Template("""\
## How often the gates are wrong

Written by `make bench-gates`; no figure is typed by hand. Each row is $seeds files of generated customers, each from
its own seed, judged by all gates but parity, as data without a known ceiling. "accepted" means staged; some of these
ask for a person at promotion (`--acknowledge`). "not enough data" is a refusal that says how much more is needed.

A model without skill may be accepted in at most 1 % of the files, and an honest one refused for any other reason than
too little data in at most 2 %. "mixed" and "leak" have no right answer below full strength: they show where the limit
is.

$table
""")


def _fitted(data: Dataset) -> tuple[Fitted, Labels]:
    churned = validate(data)
    return fit(CONFIG, data, churned, lambda _stage, _detail: None), churned


def _against(data: Dataset, fitted: Fitted, seed: int) -> GateResult:
    """Apply the regression gate against a version trained on the same number of honest customers."""
    old_data = loaded(generate(GeneratorConfig(rows=len(data.customers), seed=seed + OTHER_SEED)).customers)
    old, churned = _fitted(old_data)
    test, own = fitted.split.test, old.split.test
    recorded = auc(churned[own], old.scores[own])
    half = 1.96 * recorded.error
    return regression.gate(
        regression.Rows(
            churned=fitted.churned[test],
            candidate=fitted.scores[test],
            production=predict(old.model, data.customers.iloc[test]),
        ),
        regression.Rows(
            churned=churned[own],
            candidate=predict(fitted.model, old_data.customers.iloc[own]),
            production=old.scores[own],
        ),
        {"auc": recorded.value, "auc_low": recorded.value - half, "auc_high": recorded.value + half},
        candidate=auc(fitted.churned[test], fitted.scores[test], fitted.clusters),
        version="1",
        limits=CONFIG.gates,
    )


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict on one file: ``by`` names the gates that refused it, ``asks`` those that ask for a person."""

    by: tuple[str, ...]
    asks: tuple[str, ...]
    too_few: bool

    @property
    def accepted(self) -> bool:
        return not self.by and not self.too_few


def verdict(case: Case, seed: int) -> Verdict:
    """Judge the file of one seed."""
    data = dataset(case, seed)
    try:
        fitted, _ = _fitted(data)
    except DataError:
        return Verdict(by=(), asks=(), too_few=True)
    results = judge(CONFIG, data, fitted, fitted.scores)
    if case.production:
        results.append(_against(data, fitted, seed))
    refused = [gate for gate in results if not gate.passed]
    few = bool(refused) and all(NOT_ENOUGH in gate.detail for gate in refused)
    return Verdict(
        by=() if few else tuple(gate.name for gate in refused),
        asks=tuple(gate.name for gate in results if gate.needs),
        too_few=few,
    )


def measure(case: Case, seeds: int, pool: ProcessPoolExecutor) -> tuple[str, ...]:
    """Judge ``seeds`` files of one kind; returns their row of the table."""
    verdicts = list(pool.map(partial(verdict, case), range(seeds), chunksize=10))
    accepted = [one for one in verdicts if one.accepted]
    by = Counter(name for one in verdicts for name in one.by)
    return (
        case.name,
        f"{case.rows:,}",
        case.kind,
        _share(len(accepted), seeds),
        _share(sum(bool(one.asks) for one in accepted), seeds),
        _share(sum(bool(one.by) for one in verdicts), seeds),
        _share(sum(one.too_few for one in verdicts), seeds),
        ", ".join(f"{name} {_share(count, seeds)}" for name, count in by.most_common()) or "-",
    )


def _share(count: int, seeds: int) -> str:
    return f"{count / seeds:.1%}".replace(".0%", "%")


def document(seeds: int, workers: int) -> str:
    """Measure everything and return the section."""
    with ProcessPoolExecutor(workers) as pool:
        rows = []
        for case in cases():
            rows.append(measure(case, seeds, pool))
            sys.stderr.write(" | ".join(rows[-1]) + "\n")
    header = ("File", "rows", "kind", "accepted", "of which ask a person", "refused", "not enough data", "refused by")
    return _TEXT.substitute(seeds=seeds, table=report.table(header, rows))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gates", description=__doc__)
    parser.add_argument("--out", type=Path, default=DOCUMENT, help="document to write into (default: docs/training.md)")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="files of each kind (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes")
    options = parser.parse_args(arguments)
    text = document(options.seeds, options.workers)
    options.out.write_text(sections.put(options.out.read_text("utf-8"), SECTION, text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
