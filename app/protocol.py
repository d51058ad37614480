"""uvicorn's HTTP protocol with limits on the size and duration of a request's head, which uvicorn lacks.

Without them one connection could take all memory, and idle ones all file descriptors, before any key is checked.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 64 * 1024


class _BoundedProtocol(HttpToolsProtocol):
    head_seconds: ClassVar[float]
    _head_open = True
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_open = True
        self._head_bytes = 0

    def on_headers_complete(self) -> Any:
        self._head_open = False
        self._stop_timer()
        return super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._head_open or self.transport.is_closing():
            return
        if self._head_bytes > MAX_HEAD_BYTES:
            self.send_400_response("The head of the request is too large.")
            return
        # Compared before this piece is counted: it may also hold the end of an earlier request.
        self._head_bytes += len(data)
        self._start_timer()

    def _start_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def bounded_protocol(head_seconds: float) -> type[HttpToolsProtocol]:
    """Create a protocol class for ``uvicorn.Config(http=...)``.

    A head (request line and headers) longer than MAX_HEAD_BYTES is answered with 400 when its next piece arrives. A
    connection is closed if its first head, or a later one that has begun, is not complete after ``head_seconds``.
    """
    return type("BoundedProtocol", (_BoundedProtocol,), {"head_seconds": head_seconds})
