"""Time-outs that count only the time in which this process could run.

A pod at its CPU limit is stopped for a part of each tenth of a second. On a wall clock, every call that waits at that
moment looks slow afterwards, although its answer lies ready in the socket: the event loop runs due timers before it
reads sockets. So the time here is made of ticks of the loop, and a stop of any length is one tick.
"""

from __future__ import annotations

import asyncio
from typing import Final

TICKS: Final = 5
"""Ticks of one time-out: a stop takes at most one away, and the loop reads its sockets between any two."""


class AwakeClock:
    """Expires scopes of :func:`asyncio.timeout` by ticks; it ticks only while a scope waits."""

    def __init__(self, seconds: float) -> None:
        self.ticks = 0
        self._tick_seconds = seconds / TICKS
        self._expiries: dict[asyncio.Timeout, int] = {}
        self._ticking = False

    def start(self, scope: asyncio.Timeout, ticks: int) -> None:
        """Let an entered scope expire after this many whole ticks, unless it is stopped before."""
        # The next tick is already under way, so it does not count.
        self._expiries[scope] = self.ticks + ticks + 1
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(self._tick_seconds, self._tick)

    def stop(self, scope: asyncio.Timeout) -> None:
        """Forget a scope, expired or not."""
        self._expiries.pop(scope, None)

    def _tick(self) -> None:
        self.ticks += 1
        loop = asyncio.get_running_loop()
        for scope in [scope for scope, expiry in self._expiries.items() if expiry <= self.ticks]:
            del self._expiries[scope]
            scope.reschedule(loop.time())
        self._ticking = bool(self._expiries)
        if self._ticking:
            loop.call_later(self._tick_seconds, self._tick)
