"""Stand-in servers of tests: started in a thread, quiet, and gone with their block."""

from __future__ import annotations

import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from support.servers import HOST


class QuietHandler(BaseHTTPRequestHandler):
    """A request handler that logs nothing, for tests whose output is read by people."""

    def body(self) -> bytes:
        """Read the request's body."""
        return self.rfile.read(int(self.headers["Content-Length"]))

    def reply(self, status: int, content: bytes = b"", content_type: str = "application/json") -> None:
        """Send a whole answer."""
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Log nothing."""


class Listening:
    """Runs a server of the standard library in a `with` block."""

    def __init__(self, server: socketserver.TCPServer) -> None:
        self._server = server
        self.port = int(server.server_address[1])
        self.address = f"{HOST}:{self.port}"
        self.url = f"http://{self.address}"

    def __enter__(self) -> Self:
        # Stopping waits for one interval.
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def http(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """A server on a free port, for `Listening`."""
    return ThreadingHTTPServer((HOST, 0), handler)
