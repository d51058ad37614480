"""The task that watches Redis ends when it is cancelled, whatever the client library does with the cancellation."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry, Gauge

from app.redis_gate import RedisGate

pytestmark = pytest.mark.anyio


async def test_it_ends_though_the_client_swallows_the_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    up = Gauge("up", "Whether Redis answers.", registry=CollectorRegistry())
    gate = RedisGate("redis://127.0.0.1:1/0", connections=1, timeout_seconds=60, retry_seconds=0.001, up=up)
    asked = asyncio.Event()

    async def swallow() -> bool:
        asked.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return True
        return False

    monkeypatch.setattr(gate.client, "ping", swallow)
    task = asyncio.create_task(gate.watch())
    await asked.wait()
    task.cancel()
    ended, _ = await asyncio.wait([task], timeout=5)
    assert ended == {task}
    await gate.close()
