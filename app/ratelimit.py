"""Rate limits per API key, counted in this process or, with Redis, in all processes together."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from limits import RateLimitItem, WindowStats, parse_many
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter as LocalLimiter
from prometheus_client import Counter

from app.metrics import Metrics
from app.security import Principal

if TYPE_CHECKING:
    from limits.aio.strategies import SlidingWindowCounterRateLimiter as SharedLimiter

    from app.redis_gate import RedisGate


@lru_cache(maxsize=1024)
def _items(rate: str) -> tuple[RateLimitItem, ...]:
    return tuple(parse_many(rate))


def _shared_limiter(gate: RedisGate) -> SharedLimiter:
    # Imported here: the asynchronous classes would only slow down the start of a process without Redis.
    from limits.aio.storage import RedisStorage  # noqa: PLC0415 - see above
    from limits.aio.strategies import SlidingWindowCounterRateLimiter  # noqa: PLC0415 - see above

    pool: Any = gate.pool  # documented for all implementations, but the annotation only allows plain options
    storage = RedisStorage(f"async+{gate.url}", implementation="redispy", key_prefix="churn-rate", connection_pool=pool)
    return SlidingWindowCounterRateLimiter(storage)


@dataclass(frozen=True, slots=True)
class _Shared:
    """What all processes count together, behind the gate; every answer is None if Redis does not give one."""

    limiter: SharedLimiter
    gate: RedisGate

    async def hit(self, item: RateLimitItem, key: str) -> bool | None:
        return await self.gate.call(lambda: self.limiter.hit(item, key))

    async def window(self, item: RateLimitItem, key: str) -> WindowStats | None:
        return await self.gate.call(lambda: self.limiter.get_window_stats(item, key))


class RateLimiter:
    """Sliding-window limits of the ``limits`` library.

    Without an answer from Redis this process counts the request alone, from zero: then a key has its rate in each
    process, but never none.
    """

    def __init__(self, default_rate: str, metrics: Metrics, gate: RedisGate | None) -> None:
        self._default = default_rate
        # In memory the synchronous classes are used: the asynchronous ones start a task for every hit.
        self._local = LocalLimiter(MemoryStorage())
        self._shared = _Shared(_shared_limiter(gate), gate) if gate else None
        self._passed = metrics.rate_limit.labels("passed")
        self._refused = metrics.rate_limit.labels("refused")
        self._alone = metrics.rate_limit_alone

    async def refuse_seconds(self, principal: Principal) -> int | None:
        """Count one request; returns None if it may pass, otherwise the seconds to wait before trying again."""
        shared, key, alone = self._shared, principal.id, False
        for item in _items(principal.rate_limit or self._default):
            passed = None if shared is None else await shared.hit(item, key)
            if passed is None:
                alone = shared is not None
                if not self._local.hit(item, key):
                    self._count(self._refused, alone=alone)
                    return _seconds_until(self._local.get_window_stats(item, key))
            elif shared is not None and not passed:
                self._count(self._refused, alone=alone)
                window = await shared.window(item, key)
                return 1 if window is None else _seconds_until(window)
        self._count(self._passed, alone=alone)
        return None

    def _count(self, outcome: Counter, *, alone: bool) -> None:
        outcome.inc()
        if alone:
            self._alone.inc()


def _seconds_until(window: WindowStats) -> int:
    return max(1, math.ceil(window.reset_time - time.time()))
