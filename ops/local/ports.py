"""Finds free ports on this machine."""

from __future__ import annotations

import socket
from typing import Final

from ops.errors import OpsError

LOOPBACK: Final = "127.0.0.1"
_TRIES: Final = 50


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on this port."""
    # On some systems a socket can be bound beside a listener on all addresses, so this looks for a listener first.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        if probe.connect_ex((host, port)) == 0:
            return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(preferred: int, *, taken: frozenset[int] = frozenset()) -> int:
    """Return ``preferred`` if it is free, else the next free port above it that is not in ``taken``.

    Raises:
        OpsError: none of the next 50 ports is free.
    """
    last = min(preferred + _TRIES, 65535)
    for port in range(preferred, last + 1):
        if port not in taken and is_free(port):
            return port
    raise OpsError(f"ports {preferred} to {last} are all in use: name another one")
