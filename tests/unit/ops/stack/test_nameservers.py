"""The question to the domain name system, against a resolver of the test."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from ops.errors import TemporaryError
from ops.stack.nameservers import name_servers

HEADER = struct.Struct(">6H")


def record(name: bytes, kind: int, data: bytes) -> bytes:
    return name + struct.pack(">2HIH", kind, 1, 60, len(data)) + data


@pytest.fixture
def resolver() -> Iterator[tuple[tuple[str, int], list[bytes]]]:
    """A resolver that answers one question with the records that the test puts into the list."""
    answers: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)

        def serve() -> None:
            query, client = server.recvfrom(512)
            number = HEADER.unpack_from(query)[0]
            head = HEADER.pack(number, 0x8180, 1, len(answers), 0, 0)
            server.sendto(head + query[HEADER.size :] + b"".join(answers), client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname(), answers
        thread.join(10)


ZONE = b"\xc0\x0c"
"""A pointer to the name in the question."""


def test_servers_are_read_with_compressed_names(resolver: tuple[tuple[str, int], list[bytes]]) -> None:
    address, answers = resolver
    answers += [record(ZONE, 2, b"\x03ns1" + ZONE), record(ZONE, 1, b"\1\2\3\4"), record(ZONE, 2, b"\1a\3net\0")]
    assert name_servers("acme.io", address) == {"ns1.acme.io", "a.net"}


def test_a_name_that_leads_in_a_circle_is_refused(resolver: tuple[tuple[str, int], list[bytes]]) -> None:
    address, answers = resolver
    at = HEADER.size + len(b"\4acme\2io\0") + 4
    answers.append(struct.pack(">H", 0xC000 | at) + struct.pack(">2HIH", 2, 1, 60, 0))
    with pytest.raises(TemporaryError, match="circle"):
        name_servers("acme.io", address)
