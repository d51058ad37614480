"""The kinds of files that :mod:`benchmarks.gates` judges, derived from generated customers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from app.schemas import telco
from training.data import Dataset
from training.generate import generate
from training.truth import GeneratorConfig

ID_COLUMN, LABEL_COLUMN = telco().key.name, telco().label.name

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
    total = frame["total_charges"].fillna(frame["tenure_months"] * frame["monthly_charges"])
    return Dataset(
        contract=telco(),
        customers=frame[list(telco().names)].assign(total_charges=total),
        ids=frame.get(ID_COLUMN),
        churned=frame[LABEL_COLUMN].to_numpy().astype(np.int8),
        source="generated",
        sha256="0" * 64,
        truth=None,
    )
