"""One door to an optional Redis or Valkey: every call is bounded in time, and a failure closes the door.

A prediction never depends on Redis. A request's calls have the time-out together, not each; one that fails or runs out
of it counts as "off", and no further call is tried until `RedisGate.watch`, which asks now and then, has an answer. So
a dead or slow server costs the requests of one moment at most the time-out and the others nothing, and what is known of
it is true in an idle process too.
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

_OFF: Final = (RedisError, OSError, TimeoutError)

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
        self._open = True
        self._answered = False
        self._up = up

    async def call(self, operation: Callable[[], Awaitable[T]]) -> T | None:
        """The operation's result, or None when Redis is off, fails or is slow."""
        if not self._open:
            return None
        began = time.monotonic()
        spent = _SPENT.get()
        try:
            async with asyncio.timeout(self._timeout - spent):
                result = await operation()
        except _OFF:
            self._turn(on=False)
            return None
        _SPENT.set(spent + time.monotonic() - began)
        self._answered = True
        return result

    async def watch(self) -> None:
        """Ask at once and after each ``retry_seconds`` in which no call was answered, until cancelled.

        Only this opens the door again: the answer to a call that began before the failure says nothing of after it.
        """
        while True:
            if not (self._open and self._answered):
                self._turn(on=await self._pong())
            self._answered = False
            await asyncio.sleep(self._retry)

    async def _pong(self) -> bool:
        try:
            async with asyncio.timeout(self._timeout):
                await self.client.ping()
        except _OFF:
            return False
        return True

    def _turn(self, *, on: bool) -> None:
        self._open = on
        self._up.set(on)

    async def close(self) -> None:
        await self.client.aclose()
        await self.pool.disconnect()
