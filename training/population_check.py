"""Detects that the customers of a file are another population than the one the model was trained on.

The index is the population stability index (PSI) over the bins of the version's drift reference: the sum over bins of
(p - q) ln(p / q), with half a customer added to each bin. Without drift, PSI of n customers against N reference rows in
B bins is about chi-square with B - 1 degrees of freedom times (1/n + 1/N); a limit adds the upper 1e-5 point of that to
:data:`SERIOUS`, so that a small file is not reported for its noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from app.bundle import Bins, Reference
from app.contract import Contract, Features, Scores
from app.feature import Feature

SERIOUS: Final = 0.25
"""A shift that usually calls for a new model; the alerts on served requests already begin at 0.1."""
SCORE: Final = "churn_probability"
EXTREME: Final = 0.001
"""A probability closer than this to 0 or 1 claims a certainty that such data cannot give."""
HOLDOUT_SHARE: Final = 0.2
"""Share of the training rows whose scores are behind the score's reference."""
BATCH_SAMPLE: Final = 4096
"""Rows sampled from a batch, evenly spaced and standing for the others, so that the check costs next to nothing."""
_Z: Final = 4.27
"""Upper 1e-5 point of the normal distribution."""

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One feature, or the score, whose distribution differs from the one in training; ``words`` says how."""

    name: str
    psi: float
    limit: float
    words: str


class PopulationError(Exception):
    """The file's customers are another population, and the caller asked to refuse that."""

    def __init__(self, source: str, differences: tuple[Difference, ...]) -> None:
        self.source = source
        self.differences = differences
        super().__init__(source, differences)

    def __str__(self) -> str:
        lines = [f"  {difference.words}" for difference in self.differences]
        head = f"{self.source}: another population than the model was trained on; nothing was written (--strict)"
        return "\n".join([head, *lines])


class PopulationCheck:
    """Counts the bins of a file's customers batch by batch, and compares them with a reference."""

    def __init__(self, contract: Contract, reference: Reference) -> None:
        self._contract = contract
        self._reference = reference
        self._counts = {name: np.zeros(len(bins.proportions)) for name, bins in reference.features.items()}
        self._scores = np.zeros(len(reference.score.proportions))
        self._extremes = np.zeros(2)
        self._rows = self._squares = 0.0

    def add(self, features: Features, scores: Scores) -> None:
        """Count a batch.

        Args:
            features: coded customers, shape (rows, features), as the model gets them: the reference is rounded alike.
            scores: their probabilities, shape (rows,).
        """
        step = -(-len(scores) // BATCH_SAMPLE)
        # Each column contiguous in memory: counting a strided one takes three times as long.
        sampled, some = np.ascontiguousarray(features[::step].T), scores[::step]
        weight = len(scores) / len(some)
        for feature, values in zip(self._contract.features, sampled, strict=True):
            bins = self._reference.features[feature.name]
            self._counts[feature.name] += weight * _count(bins, values)
        self._scores += weight * _count(self._reference.score, some)
        self._extremes += weight * np.array([(some < EXTREME).sum(), (some > 1 - EXTREME).sum()])
        self._rows += len(scores)
        self._squares += weight * len(scores)

    def differences(self) -> tuple[Difference, ...]:
        """Every feature that differs, in the order of the contract, then the score."""
        if not self._rows:
            return ()
        # Kish's effective size of a sample whose rows have different weights.
        size = self._rows**2 / self._squares
        differing = []
        for feature in self._contract.features:
            counts, bins = self._counts[feature.name], self._reference.features[feature.name]
            psi, limit = _psi(counts, bins, self._reference.rows), _limit(len(counts), size, self._reference.rows)
            if psi > limit:
                shares = counts / counts.sum()
                words = _category_words(feature, shares, bins) if bins.edges is None else _number_words(shares, bins)
                unit = f" (a number of {feature.unit})" if feature.unit else ""
                differing.append(
                    Difference(name=feature.name, psi=psi, limit=limit, words=f"{feature.name}{unit}: {words}")
                )
        return (*differing, *self._score_differences(size))

    def _score_differences(self, size: float) -> list[Difference]:
        bins, holdout = self._reference.score, max(1, round(self._reference.rows * HOLDOUT_SHARE))
        shares = self._scores / self._rows
        psi, limit = _psi(self._scores, bins, holdout), _limit(len(shares), size, holdout)
        words = [_number_words(shares, bins)] if psi > limit else []
        certain = (f"below {EXTREME}", f"above {1 - EXTREME}")
        ends = zip(self._extremes / self._rows, (bins.proportions[0], bins.proportions[-1]), certain, strict=True)
        for share, usual, place in ends:
            # The outermost bin of the reference holds at least all of its extreme scores.
            margin = 0.1 + _Z * math.sqrt(usual * (1 - usual) * (1 / size + 1 / holdout))
            if share > usual + margin:
                words.append(f"{share:.0%} of the rows have a probability {place}")
        return [Difference(name=SCORE, psi=psi, limit=limit, words=f"{SCORE}: {'; '.join(words)}")] if words else []


def _count(bins: Bins, values: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    codes = values.astype(np.int64) if bins.edges is None else np.searchsorted(bins.edges, values, side="left")
    return np.bincount(codes, minlength=len(bins.proportions))


def _psi(counts: Counts, bins: Bins, reference_rows: int) -> float:
    expected = np.array(bins.proportions) * reference_rows + 0.5
    p, q = (counts + 0.5) / (counts + 0.5).sum(), expected / expected.sum()
    return float(((p - q) * np.log(p / q)).sum())


def _limit(bins: int, size: float, reference_rows: int) -> float:
    """:data:`SERIOUS` plus what chance alone may add; the quantile of chi-square is Wilson and Hilferty's."""
    freedom = bins - 1
    if not freedom:
        return SERIOUS
    spread = 2 / (9 * freedom)
    chance = freedom * (1 - spread + _Z * math.sqrt(spread)) ** 3
    return SERIOUS + chance * (1 / size + 1 / reference_rows)


def _number_words(shares: Counts, bins: Bins) -> str:
    """Say where the two distributions are furthest apart, and both medians."""
    if not bins.edges:
        return "it differs"
    below, usual = np.cumsum(shares)[:-1], np.cumsum(bins.proportions)[:-1]
    worst = int(np.argmax(np.abs(below - usual)))
    edge = bins.edges[worst]
    medians = f"median {_median(shares, bins)}, in training {_median(np.array(bins.proportions), bins)}"
    above, usually = 1 - below[worst], 1 - usual[worst]
    if above > usually:
        return f"higher: {above:.0%} of the rows are above {edge:.4g}, in training {usually:.0%}; {medians}"
    return f"lower: {below[worst]:.0%} of the rows are at most {edge:.4g}, in training {usual[worst]:.0%}; {medians}"


def _median(shares: Counts, bins: Bins) -> str:
    assert bins.edges  # noqa: S101 - a number's bins have some here
    place = min(int(np.searchsorted(np.cumsum(shares), 0.5)), len(bins.edges))
    if place == 0:
        return f"at most {bins.edges[0]:.4g}"
    if place == len(bins.edges):
        return f"above {bins.edges[-1]:.4g}"
    return f"{bins.edges[place - 1]:.4g} to {bins.edges[place]:.4g}"


def _category_words(feature: Feature, shares: Counts, bins: Bins) -> str:
    worst = int(np.argmax(np.abs(shares - np.array(bins.proportions))))
    name = feature.categories[worst]
    return f"{shares[worst]:.0%} of the rows are {name!r}, in training {bins.proportions[worst]:.0%}"
