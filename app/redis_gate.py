"""One door to an optional Redis or Valkey: every call is bounded in time, and a failure closes the door for a while.

A prediction never depends on Redis. A request's calls have the time-out together, not each; one that fails or runs out
of it counts as "off", and for ``retry_seconds`` no further call is tried. So a dead or slow server costs a few requests
at most the time-out and the others nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Final, TypeVar

from prometheus_client import Gauge
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

T = TypeVar("T")

_SPENT: Final = ContextVar("seconds spent in the gate by this request", default=0.0)
"""Each request runs in a task of its own, and so in a context of its own."""


class RedisGate:
    """Holds the connection pool and knows whether Redis is to be used at the moment."""

    def __init__(self, url: str, *, connections: int, timeout_seconds: float, retry_seconds: float, up: Gauge) -> None:
        self.url = url.replace("valkey", "redis", 1) if url.startswith("valkey") else url
        self.pool: ConnectionPool = ConnectionPool.from_url(
            self.url,
            max_connections=connections,
            socket_connect_timeout=timeout_seconds,
            socket_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        )
        self.client: Redis = Redis(connection_pool=self.pool)
        self._timeout = timeout_seconds
        self._retry = retry_seconds
        self._closed_until = 0.0
        self._up = up

    async def call(self, operation: Callable[[], Awaitable[T]]) -> T | None:
        """The operation's result, or None when Redis is off, fails or is slow."""
        began = time.monotonic()
        if began < self._closed_until:
            return None
        spent = _SPENT.get()
        try:
            async with asyncio.timeout(self._timeout - spent):
                result = await operation()
        except (RedisError, OSError, TimeoutError):
            self._closed_until = time.monotonic() + self._retry
            self._up.set(0)
            return None
        _SPENT.set(spent + time.monotonic() - began)
        self._up.set(1)
        return result

    async def close(self) -> None:
        await self.client.aclose()
        await self.pool.disconnect()
