"""Durations and rounds of all measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Durations are in seconds. Contenders take turns within a round; a figure is the median over the rounds."""

    rounds: int
    starts: int
    warm_seconds: float
    closed_seconds: float
    probe_seconds: float
    steady_seconds: float
    batch_seconds: float
    overload_seconds: float
    recovery_seconds: float


FULL: Final = Plan(
    rounds=3,
    starts=3,
    warm_seconds=0.5,
    closed_seconds=3,
    probe_seconds=3,
    steady_seconds=60,
    batch_seconds=3,
    overload_seconds=30,
    recovery_seconds=8,
)
QUICK: Final = Plan(
    rounds=1,
    starts=1,
    warm_seconds=0.5,
    closed_seconds=1,
    probe_seconds=1,
    steady_seconds=2,
    batch_seconds=1,
    overload_seconds=3,
    recovery_seconds=3,
)

CONNECTIONS: Final = 16
"""Connections of the closed loop for single predictions."""
BATCH_ROWS: Final = 1000
BATCH_CONNECTIONS: Final = 1
"""One batch at a time: its latency is the time that the server takes, and rows/s are those of one busy caller."""
PROBE_RATES: Final = (100, 400)
"""Constant rates, requests/s, at which latency is measured."""
HEADROOM: Final = 1.1
"""A constant rate is only offered to a server whose closed loop is faster by this factor; others are over capacity."""
OVERLOAD: Final = 3
"""Rate offered in overload, as a multiple of the closed loop's."""
OVERLOAD_CONNECTIONS: Final = 512
SINGLE_CUSTOMERS: Final = 500
"""Number of distinct customers that single predictions repeat."""
BATCHES: Final = 20
"""Distinct batches."""
