"""All figures of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.contender import Contender
from benchmarks.groups.batch import Batch
from benchmarks.groups.overload import Overload
from benchmarks.groups.single import Single
from benchmarks.groups.start import Start
from benchmarks.machine import Machine
from benchmarks.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Results:
    """The results of each group, None for one that was not requested; ``problems`` says who could not run, and why."""

    machine: Machine
    plan: Plan
    quick: bool
    seconds: float
    contenders: Sequence[Contender]
    problems: Mapping[str, str]
    single: Single | None = None
    batch: Batch | None = None
    start: Start | None = None
    overload: Overload | None = None
