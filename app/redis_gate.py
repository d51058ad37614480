"""One door to an optional Redis or Valkey: every call is bounded in time, and a failure closes the door for a while.

A prediction never depends on Redis. A call that fails or takes longer than the time-out counts as "off", and for
``retry_seconds`` no further call is tried, so a dead server costs one request its time-out and the others nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from prometheus_client import Gauge
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

T = TypeVar("T")


class RedisGate:
    """Holds the connection pool and knows whether Redis is to be used at the moment."""

    def __init__(self, url: str, *, timeout_seconds: float, retry_seconds: float, up: Gauge) -> None:
        self.url = url.replace("valkey", "redis", 1) if url.startswith("valkey") else url
        self.pool: ConnectionPool = ConnectionPool.from_url(
            self.url,
            max_connections=64,
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
        if time.monotonic() < self._closed_until:
            return None
        try:
            async with asyncio.timeout(self._timeout):
                result = await operation()
        except (RedisError, OSError, TimeoutError):
            self._closed_until = time.monotonic() + self._retry
            self._up.set(0)
            return None
        self._up.set(1)
        return result

    async def close(self) -> None:
        await self.client.aclose()
        await self.pool.disconnect()
