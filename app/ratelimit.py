"""Rate limits per API key, counted in this process or, with Redis, in all processes together."""

from __future__ import annotations

import math
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter as LocalLimiter

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


class RateLimiter:
    """Sliding-window limits of the ``limits`` library; without an answer from Redis there is no limit."""

    def __init__(self, default_rate: str, metrics: Metrics, gate: RedisGate | None) -> None:
        self._default = default_rate
        self._gate = gate
        # In memory the synchronous classes are used: the asynchronous ones start a task for every hit.
        self._local = LocalLimiter(MemoryStorage())
        self._shared = _shared_limiter(gate) if gate else None
        self._passed = metrics.rate_limit.labels("passed")
        self._refused = metrics.rate_limit.labels("refused")
        self._skipped = metrics.rate_limit.labels("off")

    async def refuse_seconds(self, principal: Principal) -> int | None:
        """Count one request; returns None if it may pass, otherwise the seconds to wait before trying again."""
        for item in _items(principal.rate_limit or self._default):
            passed = await self._hit(item, principal.id)
            if passed is None:
                self._skipped.inc()
                return None
            if not passed:
                self._refused.inc()
                return await self._wait_seconds(item, principal.id)
        self._passed.inc()
        return None

    async def _hit(self, item: RateLimitItem, key: str) -> bool | None:
        if self._gate is None or self._shared is None:
            return self._local.hit(item, key)
        shared = self._shared
        return await self._gate.call(lambda: shared.hit(item, key))

    async def _wait_seconds(self, item: RateLimitItem, key: str) -> int:
        if self._gate is None or self._shared is None:
            window = self._local.get_window_stats(item, key)
        else:
            shared = self._shared
            answer = await self._gate.call(lambda: shared.get_window_stats(item, key))
            if answer is None:
                return 1
            window = answer
        return max(1, math.ceil(window.reset_time - time.time()))
