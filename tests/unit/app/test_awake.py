"""Time-outs that a stop of the process does not use up, on both event loops."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from app.awake import TICKS, AwakeClock

TIMEOUT_SECONDS = 0.02
STOPPED_SECONDS = 10 * TIMEOUT_SECONDS

Run = Callable[[Coroutine[Any, Any, None]], None]
loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


def _pair() -> tuple[socket.socket, socket.socket]:
    near, far = socket.socketpair()
    near.settimeout(0)
    return near, far


async def _answer(near: socket.socket, clock: AwakeClock, ticks: int = TICKS) -> bytes:
    async with asyncio.timeout(None) as scope:
        clock.start(scope, ticks)
        try:
            return await asyncio.get_running_loop().sock_recv(near, 16)
        finally:
            clock.stop(scope)


@loops
def test_an_answer_that_came_while_the_process_stood_still_is_in_time(run: Run) -> None:
    async def ask() -> None:
        near, far = _pair()
        with near, far:
            waiting = asyncio.create_task(_answer(near, AwakeClock(TIMEOUT_SECONDS)))
            await asyncio.sleep(0)
            far.send(b"answer")
            time.sleep(STOPPED_SECONDS)  # noqa: ASYNC251 - stands for a process that the kernel stopped
            assert await waiting == b"answer"

    run(ask())


@loops
def test_no_answer_expires(run: Run) -> None:
    async def ask() -> None:
        near, far = _pair()
        with near, far:
            clock = AwakeClock(TIMEOUT_SECONDS)
            with pytest.raises(TimeoutError):
                await _answer(near, clock, ticks=3)
            assert clock.ticks == 4, "the tick under way when it began, and three whole ones"

    run(ask())


@loops
def test_it_ticks_only_while_something_waits(run: Run) -> None:
    async def ask() -> None:
        near, far = _pair()
        with near, far:
            clock = AwakeClock(0.001)
            far.send(b"answer")
            await _answer(near, clock)
            await asyncio.sleep(0.01)
            quiet = clock.ticks
            await asyncio.sleep(0.01)
            assert clock.ticks == quiet
            far.send(b"again")
            assert await _answer(near, clock) == b"again"

    run(ask())
