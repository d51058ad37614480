"""The optional fairness gate: a version is refused if groups are surely further apart than the contract allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from app.bundle import GateResult
from app.contract import Contract, Fairness
from training.config import GateLimits
from training.fairness import MEASURES, PARITY, Comparison, Group, comparisons, of_slice, too_small
from training.proportions import LEVEL
from training.violations import listed

NAME: Final = "fairness"
State = Literal["exceeded", "undecided", "respected"]
_ORDER: Final[tuple[State, ...]] = ("exceeded", "undecided", "respected")
_GROUPS_NAMED: Final = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one measure says about one slice; ``worst`` is None if no two groups are large enough to compare."""

    feature: str
    measure: str
    limit: float
    state: State
    worst: Comparison | None
    small: tuple[str, ...]

    def __str__(self) -> str:
        limit = f"{'at least' if self.measure == PARITY else 'at most'} {self.limit:g} is allowed"
        what = f"{self.feature}: {_words(self.measure)}"
        if self.worst is None:
            text = f"{what}: not enough data, no two groups are large enough to compare; {limit}"
        else:
            low, high = self.worst.interval
            verdicts = {"exceeded": "surely not respected", "undecided": "not enough data to tell", "respected": "ok"}
            text = (
                f"{what} {self.worst.value:.3f} ({self.worst.below.value} to {self.worst.above.value}, 95 % "
                f"interval {low:.3f} to {high:.3f}); {limit}: {verdicts[self.state]}"
            )
        return text + (f"; too small to judge: {_names(self.small)}" if self.small else "")


def gate(contract: Contract, groups: Sequence[Group], limits: GateLimits) -> list[GateResult]:
    """Judge the groups by the contract's limits; nothing without the key ``fairness``.

    A limit is exceeded if the whole interval of some two groups lies beyond it. The intervals hold together in 95 % of
    cases (Bonferroni), so a version that respects every limit is refused in at most 5 % of cases. If an interval
    contains the limit, the data cannot tell, and the key ``undecided`` decides.
    """
    fairness = contract.fairness
    if fairness is None:
        return []
    results = findings(fairness, groups, limits)
    states = ("exceeded",) if fairness.undecided == "pass" else ("exceeded", "undecided")
    refused = [finding for finding in results if finding.state in states]
    first = results[0]
    return [
        GateResult(
            name=NAME,
            passed=not refused,
            detail="; ".join(map(str, results)),
            value=first.worst.value if first.worst else None,
            limit=first.limit,
        )
    ]


def findings(fairness: Fairness, groups: Sequence[Group], limits: GateLimits) -> list[Finding]:
    """What each limit says about each slice, the worst first."""
    size_min = limits.fairness_size_min
    allowed = {measure: getattr(fairness, key) for measure in MEASURES if (key := _key(measure))}
    judged = [
        (feature, measure, limit)
        for feature in fairness.slices
        for measure, limit in allowed.items()
        if limit is not None
    ]
    count = sum(len(comparisons(of_slice(groups, f), m, size_min=size_min)) for f, m, _ in judged)
    level = 1 - (1 - LEVEL) / max(count, 1)
    results = []
    for feature, measure, limit in judged:
        parts = of_slice(groups, feature)
        compared = comparisons(parts, measure, size_min=size_min, level=level)
        small = tuple(too_small(parts, measure, size_min=size_min))
        results.append(_finding(feature, measure, limit, compared, small))
    return sorted(results, key=lambda finding: _ORDER.index(finding.state))


def warnings(contract: Contract, groups: Sequence[Group], limits: GateLimits) -> list[str]:
    """Say which limits the data cannot tell about, each in a sentence."""
    if contract.fairness is None:
        return []
    unclear = [f for f in findings(contract.fairness, groups, limits) if f.state == "undecided"]
    return [f"Fairness cannot be judged: {finding}." for finding in unclear]


def _finding(
    feature: str, measure: str, limit: float, compared: Sequence[Comparison], small: tuple[str, ...]
) -> Finding:
    states = [_state(comparison, limit) for comparison in compared]
    state: State = next((state for state in _ORDER if state in states), "undecided")
    worst = next((c for c, its in zip(compared, states, strict=True) if its == state), None)
    return Finding(feature=feature, measure=measure, limit=limit, state=state, worst=worst, small=small)


def _state(comparison: Comparison, limit: float) -> State:
    low, high = comparison.interval
    if comparison.measure == PARITY:
        return "exceeded" if high < limit else "respected" if low >= limit else "undecided"
    return "exceeded" if low > limit else "respected" if high <= limit else "undecided"


def _key(measure: str) -> str:
    """The contract's key of the limit of a measure."""
    return f"{measure}_{'min' if measure == PARITY else 'max'}"


def _words(measure: str) -> str:
    return measure.replace("_", " ")


def _names(values: Sequence[str]) -> str:
    shown = list(values[:_GROUPS_NAMED])
    more = len(values) - len(shown)
    return listed([*shown, *([f"{more} more"] if more else [])])
