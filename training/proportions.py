"""Intervals of proportions, of their ratio and of their difference, also where several rows are of one customer."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from training.auc import Clusters

LEVEL: Final = 0.95

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Proportion:
    """A share of some rows.

    Attributes:
        value: from 0 to 1.
        rows: how many rows it is a share of.
        size: how many independent rows tell as much; fewer than ``rows`` if customers have several.
    """

    value: float
    rows: int
    size: float

    def interval(self, level: float = LEVEL) -> Interval:
        """The score interval of Wilson (JASA 22, 1927), with the effective size as the number of trials.

        Dean and Pagano (Journal of Survey Statistics and Methodology 3, 2015) compare it with others on clustered data.
        """
        z2 = normal_quantile(level) ** 2
        middle = (self.value + z2 / (2 * self.size)) / (1 + z2 / self.size)
        spread = self.value * (1 - self.value) / self.size + z2 / (4 * self.size**2)
        half = float(np.sqrt(z2 * spread)) / (1 + z2 / self.size)
        # The ends are exactly 0 and 1 for a share of 0 and of 1; rounding would miss them.
        low = 0.0 if self.value == 0 else max(0.0, middle - half)
        return low, 1.0 if self.value == 1 else min(1.0, middle + half)

    @property
    def complement(self) -> Proportion:
        """The share of the other rows."""
        return Proportion(value=1 - self.value, rows=self.rows, size=self.size)


def normal_quantile(level: float) -> float:
    """Standard deviations of a normal distribution on either side of the mean that hold this share of it."""
    return NormalDist().inv_cdf((1 + level) / 2)


def proportion(hits: npt.NDArray[np.bool_], clusters: Clusters) -> Proportion | None:
    """The share of rows that are hits; ``None`` without any row.

    The effective size is the number of rows divided by the design effect (Kish, Survey Sampling, 1965): the variance of
    the share between customers, as that of a ratio, over the variance of as many independent rows. Rows of one customer
    that differ from each other more than by chance do not count more than independent ones.

    Args:
        hits: shape (rows,).
        clusters: a number for each row, equal for the rows of one customer, as in :func:`training.auc.auc`.
    """
    rows = len(hits)
    if not rows:
        return None
    value = float(hits.mean())
    customer = np.unique(clusters, return_inverse=True)[1]
    customers = int(customer.max()) + 1
    if customers == rows:
        return Proportion(value=value, rows=rows, size=rows)
    if customers == 1 or value in (0.0, 1.0):
        # No variance to see: customers whose rows are all alike are the cautious assumption.
        return Proportion(value=value, rows=rows, size=customers)
    surplus = np.bincount(customer, weights=hits - value)
    between = float(surplus @ surplus) * customers / (customers - 1) / rows**2
    effect = between / (value * (1 - value) / (rows - 1))
    return Proportion(value=value, rows=rows, size=rows / max(1.0, effect))


def difference(first: Proportion, second: Proportion, level: float = LEVEL) -> Interval:
    """Interval of ``first`` minus ``second``, independent of each other.

    Newcombe's hybrid score interval (Statistics in Medicine 17, 1998, 873-890, method 10).
    """
    (l1, u1), (l2, u2) = first.interval(level), second.interval(level)
    p1, p2 = first.value, second.value
    return p1 - p2 - float(np.hypot(p1 - l1, u2 - p2)), p1 - p2 + float(np.hypot(u1 - p1, p2 - l2))


def ratio(first: Proportion, second: Proportion, level: float = LEVEL) -> Interval:
    """Interval of ``first`` divided by ``second``, independent of each other; the upper end may be infinite.

    The same idea as Newcombe's for a ratio, MOVER-R (Donner and Zou, Statistical Methods in Medical Research 21, 2012,
    347-359), with Wilson's intervals.
    """
    (l1, u1), (l2, u2) = first.interval(level), second.interval(level)
    p1, p2 = first.value, second.value
    product, over = p1 * p2, l1 * (2 * p1 - l1)
    # The published form of this end divides by zero where 2 p2 = u2; multiplied out it does not.
    below = product + float(np.sqrt(max(0.0, product**2 - over * u2 * (2 * p2 - u2))))
    low = over / below if below > 0 else 0.0
    below = l2 * (2 * p2 - l2)
    root = float(np.sqrt(max(0.0, product**2 - u1 * (2 * p1 - u1) * below)))
    return low, (product + root) / below if below > 0 else np.inf
