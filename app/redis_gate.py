"""The gate to an optional Redis or Valkey: every call is bounded in time, and failures in a row close the gate.

A prediction never depends on Redis. All calls of one request share one time-out, which counts only the time in which
this process could run (:mod:`app.awake`). One call that fails costs its own result; FAILURES_IN_A_ROW turn Redis "off",
and no further call is tried until `RedisGate.watch`, which asks regularly, can write again. So a dead or slow server
delays the requests of one moment by little more than the time-out, and no others; and an idle process knows its state
too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Final, TypeVar

from prometheus_client import Gauge
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from app.awake import TICKS, AwakeClock

T = TypeVar("T")

log = logging.getLogger("app.redis")

FAILURES_IN_A_ROW: Final = 5
"""One slow answer says little; as many without an answer between them say that the server is slow or gone."""
PROBE_KEY: Final = "churn-rate:probe"
"""Written to see whether the server takes writes; under a prefix that the login of the API may write."""

_OFF: Final = (RedisError, OSError, TimeoutError)
_BACKSTOP: Final = 10
"""The client library's own time-outs, as a multiple of ours: they count stops of the process, so ours come first."""

_SPENT: Final = ContextVar("ticks spent in the gate by this request", default=0)
"""Each request runs in its own task, and so in its own context."""


class RedisGate:
    """Holds the connection pool, and knows whether Redis is usable at the moment."""

    def __init__(self, url: str, *, connections: int, timeout_seconds: float, retry_seconds: float, up: Gauge) -> None:
        self.url = url.replace("valkey", "redis", 1) if url.startswith("valkey") else url
        self.pool: ConnectionPool = ConnectionPool.from_url(
            self.url,
            max_connections=connections,
            socket_connect_timeout=timeout_seconds * _BACKSTOP,
            socket_timeout=timeout_seconds * _BACKSTOP,
            retry=Retry(NoBackoff(), 0),
        )
        self.client: Redis = Redis(connection_pool=self.pool)
        self._clock = AwakeClock(timeout_seconds)
        self._retry = retry_seconds
        self._open = True
        self._failures = 0
        self._answered = False
        self._refused = False
        self._up = up

    async def call(self, operation: Callable[[], Awaitable[T]]) -> T | None:
        """Run an operation; returns its result, or None if Redis is off, fails or is slow."""
        spent = _SPENT.get()
        if not self._open or spent >= TICKS:
            return None
        began = self._clock.ticks
        try:
            result = await self._in_time(operation, TICKS - spent)
        except ResponseError:
            # The server answers, but does not do it: whether it takes writes at all is for `watch` to find out.
            self._refused = True
            return None
        except Exception as error:  # noqa: BLE001 - the client has failures of its own, and no request may fail by them
            self._failures += 1
            if self._failures >= FAILURES_IN_A_ROW:
                self._turn_off(error)
            return None
        finally:
            _SPENT.set(spent + self._clock.ticks - began)
        self._failures = 0
        self._answered = True
        return result

    async def _in_time(self, operation: Callable[[], Awaitable[T]], ticks: int) -> T:
        async with asyncio.timeout(None) as scope:
            self._clock.start(scope, ticks)
            try:
                return await operation()
            finally:
                self._clock.stop(scope)

    async def watch(self) -> None:
        """Write to Redis at once, and again after each ``retry_seconds`` without answers or with a refusal.

        Runs until it is cancelled. Only this opens the gate again: the answer to a call that began before a failure
        says nothing about the time after.
        """
        task = asyncio.current_task()
        while True:
            in_doubt = self._refused or not self._answered
            self._refused = self._answered = False
            if not self._open:
                # After a failover the name leads to another server, while these stay with the old one, which may go on
                # answering (redis-py 460).
                await self._drop_connections()
            if in_doubt or not self._open:
                await self._try_write()
            # Now and then redis-py swallows the cancellation of a call. Nothing would cancel this task a second time,
            # and the process would wait for it instead of ending.
            if task is not None and task.cancelling():
                return
            await asyncio.sleep(self._retry)

    async def _try_write(self) -> None:
        """Open or close the gate by a small write: a primary that was failed over answers PING and reads, not this."""
        failure: Exception | None = None
        for _ in range(FAILURES_IN_A_ROW):
            try:
                await self._in_time(lambda: self.client.set(PROBE_KEY, b"", ex=1), TICKS)
            except ResponseError as error:
                failure = error
                break
            except Exception as error:  # noqa: BLE001 - as above; the task that asks must go on
                failure = error
            else:
                self._turn_on()
                return
        if failure is not None:
            self._turn_off(failure)

    def _turn_on(self) -> None:
        if not self._open:
            log.info("Redis takes writes again")
        self._open = True
        self._failures = 0
        self._up.set(1)

    def _turn_off(self, failure: Exception) -> None:
        if self._open:
            # Never the whole text, which may name the address; the first word of a refusal is its code, as in READONLY.
            code = str(failure).partition(" ")[0] if isinstance(failure, ResponseError) else ""
            what = f"{type(failure).__name__} {code}".rstrip()
            log.warning("Redis is left alone, and each process counts rates by itself: %s", what)
        self._open = False
        self._failures = 0
        self._up.set(0)

    async def _drop_connections(self) -> None:
        # Only idle ones: calls fail with an AttributeError whose connection is closed under them.
        with contextlib.suppress(*_OFF):
            await self.pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        # The process ends, and its connections with it: a server that does not answer the farewell is no error.
        with contextlib.suppress(*_OFF):
            await self.client.aclose()
            await self.pool.disconnect()
