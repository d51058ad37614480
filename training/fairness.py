"""How a model treats the groups of customers: rates of offers and of errors, and how far groups are apart.

The words are those of Fairlearn (Bird and others, 2020): the ratio of demographic parity, and the differences of equal
opportunity and of equalized odds (Hardt, Price and Srebro, NeurIPS 2016).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import pandas as pd

from app.contract import Contract, Scores
from training import proportions
from training.auc import Clusters
from training.evaluate import groups_of
from training.pipeline import Labels
from training.proportions import LEVEL, Interval, Proportion

SELECTION: Final = "selection_rate"
FALSE_POSITIVE: Final = "false_positive_rate"
FALSE_NEGATIVE: Final = "false_negative_rate"
TRUE_POSITIVE: Final = "true_positive_rate"
PRECISION: Final = "precision"
RATES: Final = (SELECTION, FALSE_POSITIVE, FALSE_NEGATIVE, PRECISION)
"""The rates of each group: the share with an offer of all its customers, of those who stayed, the share without one of
those who churned, and the share who churned of those with an offer."""

PARITY: Final = "demographic_parity_ratio"
OPPORTUNITY: Final = "equal_opportunity_difference"
ODDS: Final = "equalized_odds_difference"
MEASURES: Final[dict[str, tuple[str, ...]]] = {
    PARITY: (SELECTION,),
    OPPORTUNITY: (TRUE_POSITIVE,),
    ODDS: (TRUE_POSITIVE, FALSE_POSITIVE),
}
"""The rates that each measure compares between two groups; the furthest apart count."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """One group of held-out customers with its rates by name; a rate that is a share of nobody is absent."""

    feature: str
    value: str
    rows: int
    rates: dict[str, Proportion]

    def rate(self, name: str) -> Proportion | None:
        """A rate of :data:`RATES`, or the true positive rate."""
        if name != TRUE_POSITIVE:
            return self.rates.get(name)
        missed = self.rates.get(FALSE_NEGATIVE)
        return missed.complement if missed else None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A rate of two groups: their ratio (below by above) or their difference (above minus below), with its interval."""

    measure: str
    rate: str
    below: Group
    above: Group
    value: float
    interval: Interval


def evaluate_groups(
    contract: Contract, customers: pd.DataFrame, churned: Labels, scores: Scores, threshold: float, clusters: Clusters
) -> list[Group]:
    """The rates of every group of the contract's slices, at the threshold for offers.

    Args:
        contract: names the slices.
        customers: the held-out rows.
        churned: of the same rows, shape (rows,).
        scores: likewise.
        threshold: an offer goes to a customer whose score reaches it.
        clusters: which rows are of one customer, see :func:`training.auc.auc`.
    """
    offered, left = scores >= threshold, churned == 1
    groups = []
    for feature, value, rows in groups_of(contract, customers):
        offer, gone, customer = offered[rows], left[rows], clusters[rows]
        rates = {
            SELECTION: proportions.proportion(offer, customer),
            FALSE_POSITIVE: proportions.proportion(offer[~gone], customer[~gone]),
            FALSE_NEGATIVE: proportions.proportion(~offer[gone], customer[gone]),
            PRECISION: proportions.proportion(gone[offer], customer[offer]),
        }
        present = {name: rate for name, rate in rates.items() if rate is not None}
        groups.append(Group(feature=feature, value=value, rows=len(rows), rates=present))
    return groups


def comparisons(
    groups: Sequence[Group], measure: str, *, size_min: float, level: float | None = None
) -> list[Comparison]:
    """Compare each two groups of one slice by a measure, the groups that are furthest apart first.

    Args:
        groups: of one slice.
        measure: of :data:`MEASURES`.
        size_min: a rate of a smaller effective size is not compared.
        level: of each interval; by default such that all of them hold together in 95 % of cases (Bonferroni).
    """
    pairs = list(_pairs(groups, MEASURES[measure], size_min))
    each = level if level is not None else 1 - (1 - LEVEL) / max(len(pairs), 1)
    compared = []
    for rate, one, other in pairs:
        (below, low), (above, high) = sorted((one, other), key=lambda pair: pair[1].value)
        if measure == PARITY:
            value = low.value / high.value if high.value else 1.0
            interval = proportions.ratio(low, high, each)
        else:
            value, interval = high.value - low.value, proportions.difference(high, low, each)
        compared.append(
            Comparison(measure=measure, rate=rate, below=below, above=above, value=value, interval=interval)
        )
    furthest: Callable[[Comparison], float] = lambda c: c.value if measure == PARITY else -c.value  # noqa: E731
    return sorted(compared, key=furthest)


def too_small(groups: Sequence[Group], measure: str, *, size_min: float) -> list[str]:
    """The values of the groups that a measure does not compare, because too few customers tell their rates."""
    return [
        group.value
        for group in groups
        if any((rate := group.rate(name)) is None or rate.size < size_min for name in MEASURES[measure])
    ]


def of_slice(groups: Sequence[Group], feature: str) -> list[Group]:
    return [group for group in groups if group.feature == feature]


_Pair = tuple[str, tuple[Group, Proportion], tuple[Group, Proportion]]


def _pairs(groups: Sequence[Group], rates: Sequence[str], size_min: float) -> Iterator[_Pair]:
    """Each two groups whose rate of a name can be compared."""
    for name in rates:
        of_name = [(group, group.rate(name)) for group in groups]
        large = [(group, rate) for group, rate in of_name if rate is not None and rate.size >= size_min]
        for one, other in combinations(large, 2):
            yield name, one, other
