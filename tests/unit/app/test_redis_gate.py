"""When the gate closes, and that its task ends when it is cancelled, whatever the client library does."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry, Gauge
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError

from app.redis_gate import FAILURES_IN_A_ROW, RedisGate

pytestmark = pytest.mark.anyio

NOWHERE = "redis://127.0.0.1:1/0"


def _gate() -> tuple[RedisGate, CollectorRegistry]:
    registry = CollectorRegistry()
    up = Gauge("up", "Whether Redis answers.", registry=registry)
    up.set(1)
    return RedisGate(NOWHERE, connections=1, timeout_seconds=60, retry_seconds=0.001, up=up), registry


def _value(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("up")


class _Server:
    """Answers, or fails with ``error``; counts what it is asked."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = 0

    async def __call__(self) -> str:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return "answer"


async def test_it_closes_after_several_failures_in_a_row_and_not_after_as_many_apart() -> None:
    (gate, up), server = _gate(), _Server()
    for error in [RedisConnectionError(), TimeoutError(), OSError()] * FAILURES_IN_A_ROW:
        server.error = error
        assert await gate.call(server) is None
        server.error = None
        assert await gate.call(server) == "answer"
    assert _value(up) == 1
    server.error = RedisConnectionError()
    for _ in range(FAILURES_IN_A_ROW):
        assert await gate.call(server) is None
    assert _value(up) == 0
    server.error, asked = None, server.asked
    assert await gate.call(server) is None
    assert server.asked == asked, "a closed gate asks nothing"
    await gate.close()


async def test_no_failure_of_the_client_library_reaches_a_request() -> None:
    """As when a connection is closed while a call waits for its answer."""
    (gate, up), server = _gate(), _Server()
    server.error = AttributeError("'NoneType' object has no attribute 'write'")
    for _ in range(FAILURES_IN_A_ROW):
        assert await gate.call(server) is None
    assert _value(up) == 0
    await gate.close()


async def test_refused_calls_alone_do_not_close_it() -> None:
    """A poisoned value refuses one client's calls; whether the server takes writes is for the watch to find out."""
    (gate, up), server = _gate(), _Server()
    server.error = ReadOnlyError()
    for _ in range(2 * FAILURES_IN_A_ROW):
        assert await gate.call(server) is None
    assert _value(up) == 1
    await gate.close()


@pytest.mark.parametrize("refuses", [True, False])
async def test_the_watch_asks_for_a_write_after_a_refusal(*, refuses: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while other calls are answered: reads are, by a primary that was failed over."""
    (gate, up), server = _gate(), _Server()
    writes: asyncio.Queue[None] = asyncio.Queue()
    refusing = False

    async def write(*_: object, **__: object) -> bool:
        await writes.put(None)
        if refusing:
            raise ReadOnlyError
        return True

    monkeypatch.setattr(gate.client, "set", write)
    task = asyncio.create_task(gate.watch())
    await writes.get()
    refusing = refuses
    server.error = ReadOnlyError()
    assert await gate.call(server) is None
    server.error = None
    assert await gate.call(server) == "answer"
    await writes.get()
    await asyncio.sleep(0)
    assert _value(up) == (not refuses)
    task.cancel()
    await asyncio.wait([task])
    await gate.close()


async def test_it_ends_though_the_client_swallows_the_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, _ = _gate()
    asked = asyncio.Event()

    async def swallow(*_: object, **__: object) -> bool:
        asked.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return True
        return False

    monkeypatch.setattr(gate.client, "set", swallow)
    task = asyncio.create_task(gate.watch())
    await asked.wait()
    task.cancel()
    ended, _ = await asyncio.wait([task], timeout=5)
    assert ended == {task}
    await gate.close()
