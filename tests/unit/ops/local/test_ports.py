from __future__ import annotations

import socket

import pytest

from ops.errors import OpsError
from ops.local.ports import free_port, is_free


@pytest.fixture
def listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def test_a_free_port_is_taken_as_it_is(listener: socket.socket) -> None:
    port = port_of(listener)
    listener.close()
    assert free_port(port) == port


def test_the_next_port_is_taken_when_a_server_listens(listener: socket.socket) -> None:
    port = port_of(listener)
    with listener:
        assert not is_free(port)
        assert port < free_port(port) <= port + 50


def test_a_listener_on_all_addresses_counts() -> None:
    with socket.create_server(("0.0.0.0", 0)) as everywhere:  # noqa: S104 - what a careless server does
        assert not is_free(port_of(everywhere))


def test_a_port_promised_to_another_server_is_left_alone(listener: socket.socket) -> None:
    port = port_of(listener)
    listener.close()
    assert free_port(port, taken=frozenset({port})) > port


def test_without_a_free_port_the_tried_ones_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.local.ports.is_free", lambda _port: False)
    with pytest.raises(OpsError, match="ports 8000 to 8050 are all in use"):
        free_port(8000)
