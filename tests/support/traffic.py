"""A steady stream of requests, sent at a fixed pace however slow the answers are, and the outcome of each."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

_MAX_IN_FLIGHT = 200


@dataclass(kw_only=True)
class Outcome:
    """Answers with status 200, each with the index of its customer, and everything else counted by kind."""

    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    not_sent: int = 0
    """Requests left out because too many were outstanding."""

    @property
    def versions(self) -> Counter[str]:
        """Answers by the model version that gave them."""
        return Counter(answer["model_version"] for _, answer in self.answers)


class Traffic:
    """``with Traffic(...) as traffic:`` sends from a separate thread until the block ends.

    An open loop: a request goes out every ``1 / rate`` seconds over persistent connections. ``traffic.outcome`` grows
    as answers come in, and is complete after the block.
    """

    def __init__(
        self,
        url: str,
        customers: Sequence[Mapping[str, Any]],
        *,
        rate: float,
        key: Callable[[], str] | None = None,
    ) -> None:
        """Prepare to send; ``key`` returns the API key for the next request."""
        self.outcome = Outcome()
        self._url = url
        self._customers = customers
        self._rate = rate
        self._key = key
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(60)
        assert kind or not self._thread.is_alive(), "requests are still unanswered after a minute"

    @property
    def answered(self) -> int:
        """How many requests were answered with status 200 so far."""
        return len(self.outcome.answers)

    async def _run(self) -> None:
        limits = httpx.Limits(max_connections=_MAX_IN_FLIGHT, max_keepalive_connections=_MAX_IN_FLIGHT)
        loop = asyncio.get_running_loop()
        running: set[asyncio.Task[None]] = set()
        async with httpx.AsyncClient(base_url=self._url, limits=limits, timeout=30, trust_env=False) as client:
            due, number = loop.time(), 0
            while not self._stopping.is_set():
                if len(running) < _MAX_IN_FLIGHT:
                    task = asyncio.create_task(self._send(client, number % len(self._customers)))
                    running.add(task)
                    task.add_done_callback(running.discard)
                else:
                    self.outcome.not_sent += 1
                number += 1
                due += 1 / self._rate
                await asyncio.sleep(max(0.0, due - loop.time()))
            await asyncio.gather(*running)

    async def _send(self, client: httpx.AsyncClient, index: int) -> None:
        try:
            headers = {"x-api-key": self._key()} if self._key else None
            response = await client.post("/v1/predict", json=self._customers[index], headers=headers)
        except httpx.TransportError as error:
            self.outcome.failures[repr(error)] += 1
            return
        if response.status_code == httpx.codes.OK:
            self.outcome.answers.append((index, response.json()))
        else:
            self.outcome.failures[f"{response.status_code} {response.text[:200]}"] += 1
