"""The groups' rates for readers: a section of the model card, and metrics for MLflow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from app.contract import Contract
from training.config import GateLimits
from training.fairness import MEASURES, RATES, Group, comparisons, of_slice, too_small
from training.markdown import table
from training.proportions import Proportion

HEADING: Final = "Fairness"
_LEGEND: Final = """\
Shares at the threshold, with 95 % intervals (Wilson; rows of one customer count together). Selection rate: the share
of all customers who get an offer. False positive rate: of those who stayed, the share with an offer. False negative
rate: of those who churned, the share without. Precision: of those with an offer, the share who churned."""
_APART: Final = """\
How far the groups of each feature are apart, for the two that differ most: the smallest selection rate divided by the
largest, the difference of true positive rates, and that of true or of false positive rates. The intervals hold together
for all pairs of a feature."""


def metric_name(feature: str, value: str) -> str:
    """A group in the name of a metric: what MLflow allows, without spaces."""
    return f"{feature}.{re.sub(r'[^a-z0-9]+', '_', value.lower())}"


def metrics(groups: Sequence[Group]) -> dict[str, float]:
    """By ``slice_<rate>/<feature>.<value>``, with the ends of the interval (``..._low``, ``..._high``)."""
    flat: dict[str, float] = {}
    for group in groups:
        for name, rate in group.rates.items():
            key = f"slice_{name}/{metric_name(group.feature, group.value)}"
            low, high = rate.interval()
            flat |= {key: rate.value, f"{key}_low": low, f"{key}_high": high}
    return flat


def section(contract: Contract, groups: Sequence[Group], limits: GateLimits) -> str:
    """The section of the model card; empty for a contract without slices."""
    if not groups:
        return ""
    rows = [
        (f"{group.feature} = {group.value}", f"{group.rows:,}", *(_shown(group.rates.get(name)) for name in RATES))
        for group in groups
    ]
    return "\n\n".join(
        [
            f"## {HEADING}",
            _LEGEND,
            table(("group", "rows", *map(_words, RATES)), rows),
            _APART,
            table(("feature", *map(_words, MEASURES)), _apart(contract, groups, limits)),
            _small(contract, groups, limits) + _judged(contract),
            "",
        ]
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _shown(rate: Proportion | None) -> str:
    if rate is None:
        return "-"
    low, high = rate.interval()
    return f"{rate.value:.1%} ({low:.1%} to {high:.1%})"


def _apart(contract: Contract, groups: Sequence[Group], limits: GateLimits) -> list[tuple[str, ...]]:
    rows = []
    for feature in contract.slices:
        cells = [feature]
        for measure in MEASURES:
            compared = comparisons(of_slice(groups, feature), measure, size_min=limits.fairness_size_min)
            if not compared:
                cells.append("-")
                continue
            worst = compared[0]
            low, high = worst.interval
            pair = f"{worst.below.value}, {worst.above.value}"
            cells.append(f"{worst.value:.2f} ({low:.2f} to {high:.2f}): {pair}")
        rows.append(tuple(cells))
    return rows


def _small(contract: Contract, groups: Sequence[Group], limits: GateLimits) -> str:
    """Name the groups that are too small to compare, in a sentence that ends with a space."""
    size_min = limits.fairness_size_min
    small = {
        f"{feature} = {value}"
        for feature in contract.slices
        for measure in MEASURES
        for value in too_small(of_slice(groups, feature), measure, size_min=size_min)
    }
    if not small:
        return ""
    names = ", ".join(sorted(small))
    return f"Not compared in each measure, because fewer than {size_min} customers tell a rate: {names}. "


def _judged(contract: Contract) -> str:
    if contract.fairness is None:
        return "The contract sets no limit (key `fairness`), so no gate judges these figures."
    return f"The gate `fairness` judges {', '.join(contract.fairness.slices)} by the contract's limits."
