"""The gate to an optional Redis or Valkey: every call is bounded in time, and a failure closes the gate.

A prediction never depends on Redis. All calls of one request share one time-out. A call that fails or exceeds it turns
Redis "off", and no further call is tried until `RedisGate.watch`, which asks regularly, gets an answer. So a dead or
slow server delays the requests of one moment by at most the time-out, and no others; and an idle process knows its
state too.
"""

from __future__ import annotations

import asyncio
import contextlib
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
"""Each request runs in its own task, and so in its own context."""


class RedisGate:
    """Holds the connection pool, and knows whether Redis is usable at the moment."""

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
        """Run an operation; returns its result, or None if Redis is off, fails or is slow."""
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
        """Ping Redis at once, and again after each ``retry_seconds`` without an answered call, until cancelled.

        Only this opens the gate again: the answer to a call that began before a failure says nothing about the time
        after.
        """
        task = asyncio.current_task()
        while True:
            if not (self._open and self._answered):
                self._turn(on=await self._pong())
            # Now and then redis-py swallows the cancellation of a call. Nothing would cancel this task a second time,
            # and the process would wait for it instead of ending.
            if task is not None and task.cancelling():
                return
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
        # The process ends, and its connections with it: a server that does not answer the farewell is no error.
        with contextlib.suppress(*_OFF):
            await self.client.aclose()
            await self.pool.disconnect()
