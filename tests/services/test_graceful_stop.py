from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest
from support.bundles import random_customers
from support.servers import HOST, STOP_SECONDS, Api, wait_until

pytestmark = pytest.mark.service

BODY = json.dumps(random_customers(1, seed=15)[0]).encode()
HEAD = b"POST /v1/predict HTTP/1.1\r\nhost: api\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(
    BODY
)


def exchange(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection; closes this end too."""
    connection.settimeout(30)
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


def begin_a_slow_request(api: Api) -> socket.socket:
    connection = socket.create_connection((HOST, api.port))
    connection.sendall(HEAD + BODY[:10])
    wait_until(lambda: api.metrics()['churn_http_requests_in_flight{route="/v1/predict"}'] == 1, "it is in flight")
    return connection


def drains(api: Api) -> bool:
    return api.status("/ready") == 503


def test_a_draining_process_answers_everything_and_ends_well(bundles: list[Path], tmp_path: Path) -> None:
    api = Api(tmp_path, model_source=bundles[0], drain_seconds=1)
    try:
        api.start()
        slow, idle = begin_a_slow_request(api), socket.create_connection((HOST, api.port))
        api.process.send_signal(signal.SIGTERM)
        wait_until(lambda: drains(api), "it says that it is draining")
        assert api.ready()["status"] == "draining"
        assert api.status("/live") == 200

        late = httpx.post(f"{api.url}/v1/predict", content=BODY, headers={"content-type": "application/json"})
        assert late.status_code == 200
        assert late.headers["connection"] == "close", "the client is told to go elsewhere"
        idle.sendall(HEAD + BODY)
        assert exchange(idle).startswith(b"HTTP/1.1 200 ")
        slow.sendall(BODY[10:])
        assert exchange(slow).startswith(b"HTTP/1.1 200 ")
        assert api.process.wait(STOP_SECONDS) == 0
    finally:
        api.close()


def test_a_request_in_flight_outlives_the_drain_time(bundles: list[Path], tmp_path: Path) -> None:
    api = Api(tmp_path, model_source=bundles[0], drain_seconds=0, body_timeout_seconds=8)
    try:
        api.start()
        slow = begin_a_slow_request(api)
        api.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not _accepts(api), "no new connection is taken")
        slow.sendall(BODY[10:])
        assert exchange(slow).startswith(b"HTTP/1.1 200 ")
        assert api.process.wait(STOP_SECONDS) == 0
    finally:
        api.close()


def _accepts(api: Api) -> bool:
    try:
        socket.create_connection((HOST, api.port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_stops_at_once(bundles: list[Path], tmp_path: Path, number: signal.Signals) -> None:
    # With an hour of drain, that it ends at all says that it did not wait.
    api = Api(tmp_path, model_source=bundles[0], drain_seconds=3600)
    try:
        api.start()
        slow = begin_a_slow_request(api)
        api.process.send_signal(signal.SIGTERM)
        wait_until(lambda: drains(api), "it says that it is draining")
        api.process.send_signal(number)
        assert api.process.wait(STOP_SECONDS) == 0
        slow.close()
    finally:
        api.close()


@pytest.mark.parametrize("after_seconds", [0.05, 0.2, 0.4, 0.6, 0.8])
def test_a_signal_during_the_start_ends_it(bundles: list[Path], tmp_path: Path, after_seconds: float) -> None:
    api = Api(tmp_path, model_source=bundles[0])
    try:
        api.launch()
        time.sleep(after_seconds)
        api.process.send_signal(signal.SIGTERM)
        # Before the handlers stand, a signal has its usual effect; afterwards it is a proper stop.
        assert api.process.wait(STOP_SECONDS) in {0, -signal.SIGTERM}
        assert "Traceback" not in api.output
    finally:
        api.close()
