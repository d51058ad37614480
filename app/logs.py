"""JSON lines on standard output.

The line of a request is assembled by hand: the ``logging`` module takes longer than the prediction. No line holds a
feature value, a key, a header or a query string.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from datetime import UTC, datetime
from typing import BinaryIO

import orjson


class JsonFormatter(logging.Formatter):
    """Formats everything that goes through ``logging`` as one JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


def configure() -> None:
    """Send all logging to standard output as JSON lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Its request lines would repeat ours, and every look-up of the registry would add one.
    logging.getLogger("httpx").setLevel(logging.WARNING)


class RequestLog:
    """Writes one line per request, all those of one turn of the event loop at once."""

    def __init__(self, stream: BinaryIO | None) -> None:
        self._stream = stream
        self._lines: list[bytes] = []
        self._second = 0
        self._prefix = b""

    def write(self, *, request_id: str, method: str, route: str, status: int, seconds: float, client: str) -> None:
        """Add the line of an answered request; every argument is bounded and holds no quote."""
        if self._stream is None:
            return
        now = time.time()
        if int(now) != self._second:
            self._second = int(now)
            stamp = datetime.fromtimestamp(self._second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._prefix = f'{{"time":"{stamp}.'.encode()
        if not self._lines:
            asyncio.get_running_loop().call_soon(self.flush)
        self._lines.append(
            self._prefix
            + (
                f'{int(now % 1 * 1000):03}Z","level":"info","logger":"request","request_id":"{request_id}",'
                f'"method":"{method}","route":"{route}","status":{status},"ms":{seconds * 1000:.2f},'
                f'"client":"{client}"}}\n'
            ).encode()
        )

    def flush(self) -> None:
        if self._lines and self._stream:
            lines, self._lines = self._lines, []
            self._stream.write(b"".join(lines))
            self._stream.flush()
