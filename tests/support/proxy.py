"""A TCP proxy that delays the server's answers."""

from __future__ import annotations

import contextlib
import random
import socket
import socketserver
import threading
from collections.abc import Callable

from support.listening import Listening
from support.servers import HOST


class DelayingProxy(Listening):
    """Forwards connections to a server on this machine.

    ``target_port`` is where new connections go, as with a name that comes to mean another server; those that exist stay
    where they are. ``delay`` is the shortest and longest time in seconds by which a piece of an answer is delayed.
    ``requests`` counts the pieces that clients sent.
    """

    def __init__(self, target_port: int, *, seed: int = 0) -> None:
        self.target_port = target_port
        self.delay = (0.0, 0.0)
        self.requests = 0
        proxy, drawn, stopping = self, random.Random(seed), threading.Event()  # noqa: S311 - no secret

        def count() -> None:
            proxy.requests += 1

        def hold_back() -> None:
            stopping.wait(drawn.uniform(*proxy.delay))

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                client: socket.socket = self.request
                with contextlib.suppress(OSError), socket.create_connection((HOST, proxy.target_port)) as server:
                    forth = threading.Thread(target=_pump, args=(client, server, count))
                    forth.start()
                    _pump(server, client, hold_back)
                    forth.join()

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._stopping = stopping
        super().__init__(Listener((HOST, 0), Handler))

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        super().__exit__()


def _pump(source: socket.socket, target: socket.socket, before: Callable[[], None]) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            before()
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
