"""Asks the domain name system who serves a domain: one question by UDP (RFC 1035), which no library here can ask."""

from __future__ import annotations

import re
import secrets
import socket
import struct
from pathlib import Path
from typing import Final

from ops.errors import TemporaryError

NS: Final = 2
INTERNET: Final = 1
RECURSION_DESIRED: Final = 0x0100
SECONDS: Final = 5.0
PORT: Final = 53
RESOLVERS: Final = Path("/etc/resolv.conf")
_POINTER: Final = 0xC0
_RESPONSE_BYTES: Final = 4096


def name_servers(domain: str, resolver: tuple[str, int] | None = None) -> set[str]:
    """Return the names of a domain's servers; none if nobody serves it.

    Raises:
        TemporaryError: the resolver of this machine does not answer.
    """
    number = secrets.randbelow(0x10000)
    question = b"".join(bytes([len(part)]) + part.encode("ascii") for part in domain.split(".")) + b"\0"
    query = struct.pack(">6H", number, RECURSION_DESIRED, 1, 0, 0, 0) + question + struct.pack(">2H", NS, INTERNET)
    address = resolver or (_resolver(), PORT)
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(SECONDS)
        try:
            client.connect(address)
            client.send(query)
            answer = client.recv(_RESPONSE_BYTES)
        except OSError as error:
            raise TemporaryError(f"the resolver {address[0]} does not answer: {error}") from None
    if len(answer) < len(query) or answer[:2] != query[:2]:
        raise TemporaryError(f"the resolver {address[0]} sends something that is no answer")
    return _servers(answer, len(query))


def _resolver() -> str:
    match = re.search(r"^nameserver\s+(\S+)", RESOLVERS.read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else "127.0.0.1"


def _servers(answer: bytes, offset: int) -> set[str]:
    (count,) = struct.unpack_from(">H", answer, 6)
    names = set()
    for _ in range(count):
        _, offset = _name(answer, offset)
        kind, _, _, length = struct.unpack_from(">2HIH", answer, offset)
        offset += struct.calcsize(">2HIH")
        if kind == NS:
            names.add(_name(answer, offset)[0])
        offset += length
    return names


def _name(answer: bytes, offset: int) -> tuple[str, int]:
    """Read a name, which may end with a pointer to the end of an earlier one; returns it and what follows it."""
    parts: list[str] = []
    after = None
    while length := answer[offset]:
        if length & _POINTER == _POINTER:
            after = after or offset + 2
            # A pointer leads backwards, so that a forged one cannot lead in a circle for ever.
            target = struct.unpack_from(">H", answer, offset)[0] & 0x3FFF
            if target >= offset:
                raise TemporaryError("the resolver sends a name that leads in a circle")
            offset = target
            continue
        parts.append(answer[offset + 1 : offset + 1 + length].decode("ascii", "replace"))
        offset += 1 + length
    return ".".join(parts), after or offset + 1
