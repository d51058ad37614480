"""Three times as many requests as the API can answer, and how soon it recovers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.bench import Bench, running
from benchmarks.contender import API
from benchmarks.load import Outcome
from benchmarks.plan import CONNECTIONS, OVERLOAD, OVERLOAD_CONNECTIONS, PROBE_RATES

NORMAL_P95_MS = 10.0
"""Normal is the target at 400 requests/s: a p95 below this, and only answers of 200."""
_WINDOW_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Overload:
    """The figures of this group.

    ``capacity`` is the closed loop's rate just before, ``offered`` the rate asked of the generator, ``sent`` what it
    could send with all its connections waiting for answers; all requests/s. ``recovery_seconds`` is the end of the last
    bad second after the overload, 0 if there was none, infinite if it never became normal.
    """

    capacity: float
    offered: float
    sent: float
    accepted: float
    seconds: float
    statuses: dict[int, int]
    accepted_p95_ms: float
    generator_busy: float
    recovery_seconds: float
    recovery_p95_ms: float


def recovery(after: Outcome, *, limit_ms: float = NORMAL_P95_MS) -> float:
    """Return the seconds until the service was normal and stayed so.

    Args:
        after: a constant rate, sent from the end of the overload on.
        limit_ms: a second with a p95 above it, or with any answer but 200, is a bad one.
    """
    windows = (after.sent_s // _WINDOW_SECONDS).astype(int)
    bad = [
        window
        for window in np.unique(windows)
        if not after.accepted[windows == window].all()
        or np.percentile(after.latency_ms[windows == window], 95) > limit_ms
    ]
    if not bad:
        return 0.0
    return float("inf") if bad[-1] == windows.max() else float((bad[-1] + 1) * _WINDOW_SECONDS)


def measure(bench: Bench) -> Overload:
    """Run a closed loop for the capacity, then the overload, and at once a normal rate."""
    generator, plan = bench.generator, bench.plan
    with running(bench, [c for c in bench.contenders if c.name == API]) as (api,), api.server.thawed():
        bench.say("overload: the capacity in a closed loop")
        generator.closed(api.single, seconds=plan.warm_seconds, connections=CONNECTIONS)
        capacity = generator.closed(api.single, seconds=plan.closed_seconds, connections=CONNECTIONS).rate
        offered = OVERLOAD * capacity
        bench.say(f"overload: {offered:.0f} requests a second for {plan.overload_seconds:g} s")
        during, after = generator.then_constant(
            api.single,
            rate=offered,
            seconds=plan.overload_seconds,
            connections=OVERLOAD_CONNECTIONS,
            then_rate=PROBE_RATES[0],
            then_seconds=plan.recovery_seconds,
        )
    return Overload(
        capacity=capacity,
        offered=offered,
        sent=during.sent_rate,
        accepted=during.rate,
        seconds=plan.overload_seconds,
        statuses=during.counts(),
        accepted_p95_ms=during.p95_ms,
        generator_busy=during.generator_busy,
        recovery_seconds=recovery(after),
        recovery_p95_ms=after.p95_ms,
    )
