"""``python -m benchmarks.gates``: measures how often the gates are wrong; writes a table into docs/training.md.

Every file consists of generated customers, whose truth is known, and is judged as by `churn train`, but without MLflow
and with the native scores in place of the exported ones.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from string import Template
from typing import Final, Literal

from training.threads import limit_threads

limit_threads()

import numpy as np  # noqa: E402  # reads the thread count once
import pandas as pd  # noqa: E402

from app.bundle import GateResult  # noqa: E402
from app.schemas import FEATURE_NAMES, ID_COLUMN, LABEL_COLUMN, blank_total  # noqa: E402
from benchmarks import report, sections  # noqa: E402
from benchmarks.contender import ROOT  # noqa: E402
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

Written by `make bench-gates`; no figure is typed by hand. Each row is $seeds files of generated customers, each from a
seed of its own, judged by all gates but parity, as data whose ceiling nobody knows. "accepted" is staged; some of these
ask a person at promotion (`--acknowledge`). "not enough data" is a refusal that says how much more is needed.

A model without skill may be accepted in at most 1 % of the files, an honest one refused for another reason than too
little data in at most 2 %. "mixed" and "leak" have no right answer below full strength: they show where the limit lies.

$table
""")

Kind = Literal["no skill", "honest", "leak", "copies", "worse", "mixed"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One kind of file: ``change`` derives it from honest customers; ``production`` first trains on honest ones."""

    name: str
    kind: Kind
    rows: int
    change: Callable[[np.random.Generator, pd.DataFrame], pd.DataFrame] | None = None
    production: bool = False


def shuffled(rng: np.random.Generator, frame: pd.DataFrame, *, share: float) -> pd.DataFrame:
    """Permute this share of the labels: 1 leaves no relation to the features."""
    labels = frame[LABEL_COLUMN].to_numpy().copy()
    rows = np.flatnonzero(rng.random(len(frame)) < share)
    labels[rows] = labels[rng.permutation(rows)]
    return frame.assign(**{LABEL_COLUMN: labels})


def leaking(rng: np.random.Generator, frame: pd.DataFrame, *, strength: float) -> pd.DataFrame:
    """Make the total follow the label with this probability, else a coin: its AUC alone is 0.5 + strength / 2."""
    labels = frame[LABEL_COLUMN].to_numpy()
    follows = np.where(rng.random(len(frame)) < strength, labels, rng.integers(0, 2, len(frame)))
    return frame.assign(total_charges=np.where(follows == 1, 9000.0, 10.0))


def copied(
    rng: np.random.Generator,
    frame: pd.DataFrame,
    *,
    times: int,
    ids: Literal["none", "new", "same"],
    noise: float = 0.0,
) -> pd.DataFrame:
    """Repeat every row: without ids, under new ids, or under the same id."""
    some = shuffled(rng, frame, share=noise)
    many = pd.concat([some] * times, ignore_index=True)
    if ids == "none":
        return many.drop(columns=[ID_COLUMN])
    return many if ids == "same" else many.assign(**{ID_COLUMN: [f"copy-{i}" for i in range(len(many))]})


def cases() -> Iterator[Case]:
    """All kinds of files that are tried."""
    for rows in (100, 500, 1_000, 5_000, 20_000):
        yield Case(name="honest", kind="honest", rows=rows)
        yield Case(name="random labels", kind="no skill", rows=rows, change=partial(shuffled, share=1.0))
    for share in (0.2, 0.4, 0.6, 0.8, 0.9):
        yield Case(
            name=f"{share:.0%} of the labels random", kind="mixed", rows=5_000, change=partial(shuffled, share=share)
        )
    for rows in (600, 2_000):
        for strength in (0.6, 0.7, 0.8, 0.9, 1.0):
            change = partial(leaking, strength=strength)
            yield Case(name=f"a feature that leaks with strength {strength:g}", kind="leak", rows=rows, change=change)
    without, fresh, same = (partial(copied, times=3, ids=ids) for ids in ("none", "new", "same"))
    yield Case(name="honest, three times, no ids", kind="honest", rows=600, change=without)
    yield Case(name="honest, three times, same ids", kind="honest", rows=600, change=same)
    yield Case(name="honest, three times, new ids", kind="copies", rows=600, change=fresh)
    random = partial(copied, times=3, ids="none", noise=1.0)
    yield Case(name="random labels, three times, no ids", kind="no skill", rows=600, change=random)
    random = partial(copied, times=3, ids="new", noise=1.0)
    yield Case(name="random labels, three times, new ids", kind="no skill", rows=600, change=random)
    for rows in (1_000, 5_000):
        yield Case(name="honest, over an honest version", kind="honest", rows=rows, production=True)
        yield Case(
            name="60% of the labels random, over an honest version",
            kind="worse",
            rows=rows,
            change=partial(shuffled, share=0.6),
            production=True,
        )


def dataset(case: Case, seed: int) -> Dataset:
    """Generate the file of one seed, as :func:`training.data.load` would return it, without a known ceiling."""
    generated = generate(GeneratorConfig(rows=case.rows, seed=seed)).customers
    frame = case.change(np.random.default_rng(seed), generated) if case.change else generated
    return loaded(frame)


def loaded(frame: pd.DataFrame) -> Dataset:
    total = frame["total_charges"].fillna(blank_total(frame["tenure_months"], frame["monthly_charges"]))  # type: ignore[arg-type]  # elementwise
    return Dataset(
        customers=frame[list(FEATURE_NAMES)].assign(total_charges=total),
        ids=frame.get(ID_COLUMN),
        churned=frame[LABEL_COLUMN].to_numpy().astype(np.int8),
        source="generated",
        sha256="0" * 64,
        truth=None,
    )


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
    """Judge one file."""
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
    """Format a row of the table."""
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
