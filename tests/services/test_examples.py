from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.bundles import random_customers, write_keys
from support.servers import HOST, Api, wait_until

pytestmark = pytest.mark.service

CUSTOMER = random_customers(1, seed=18)[0]
BODY = json.dumps(CUSTOMER).encode()
POST = b"POST /v1/predict HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\nX-API-Key: %s\r\n"


@pytest.fixture(scope="module")
def api(bundles: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("examples")
    keys = write_keys(folder / "keys.json", {"docs": ["predict", "admin"]})
    settings = {
        "model_source": bundles[0],
        "auth": "required",
        "api_keys_file": folder / "keys.json",
        "body_timeout_seconds": 0.5,
    }
    with Api(folder, key=keys["docs"], **settings) as api:
        yield api


def examples(document: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Method, path and body of every example that the description shows."""
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            if not content:
                yield method, path, None
            for media in content.values():
                schema = schemas[media["schema"]["$ref"].rpartition("/")[2]]
                yield method, path, media["example"]
                yield from ((method, path, example) for example in schema.get("examples", []))


def test_every_example_of_the_docs_passes(api: Api) -> None:
    assert "swagger" in api.client.get("/docs").text.lower()
    document = api.client.get("/openapi.json").json()
    shown = list(examples(document))
    assert {(method, path) for method, path, _ in shown} >= {
        ("post", "/v1/predict"),
        ("post", "/v1/predict/batch"),
        ("get", "/v1/model"),
        ("get", "/ready"),
    }
    for method, path, body in shown:
        answer = api.client.request(method, path, json=body)
        assert answer.status_code == 200, f"{method} {path}: {answer.text}"
        assert (
            answer.headers["content-type"].partition(";")[0]
            in document["paths"][path][method]["responses"]["200"]["content"]
        )


@pytest.mark.parametrize("value", ["true", "false"])
def test_the_documented_parameter_works(api: Api, value: str) -> None:
    answer = api.client.post("/v1/predict", params={"explain": value}, json=CUSTOMER)
    assert answer.status_code == 200
    assert ("explanation" in answer.json()) == (value == "true")


def test_a_body_that_trickles_is_given_up(api: Api) -> None:
    head = POST % api.client.headers["x-api-key"].encode() + b"Content-Length: %d\r\n\r\n" % len(BODY)
    with socket.create_connection((HOST, api.port), timeout=30) as connection:
        connection.sendall(head + BODY[:1])
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    status, _, rest = received.partition(b"\r\n")
    assert status == b"HTTP/1.1 408 Request Timeout"
    assert b"connection: close" in rest
    assert json.loads(rest.partition(b"\r\n\r\n")[2])["code"] == "request-timeout"


HOSTILE = {
    "no request line": b"\x00\xff\x16\x03\x01\x02\r\n\r\n",
    "a bad request line": b"GET\r\n\r\n",
    "an unknown version": b"GET /live HTTP/9.9\r\nHost: api\r\n\r\n",
    "a huge path": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: api\r\n\r\n",
    "huge headers": b"GET /live HTTP/1.1\r\nHost: api\r\nX-Large: " + b"a" * 2_000_000 + b"\r\n\r\n",
    "very many headers": b"GET /live HTTP/1.1\r\nHost: api\r\n" + b"x: y\r\n" * 50_000 + b"\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + BODY,
    "an endless length": POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + BODY,
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY,
    "length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks of rubbish": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nrubbish\r\n",
    "a chunk without end": POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{",
    "a cut header": b"POST /v1/predict HTTP/1.1\r\nHost: api\r\nContent-Ty",
    "an upgrade": b"GET /live HTTP/1.1\r\nHost: api\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "a wrong path encoding": b"GET /%ff%00%2e%2e/v1/predict HTTP/1.1\r\nHost: api\r\n\r\n",
    "rubbish after a good request": b"GET /live HTTP/1.1\r\nHost: api\r\n\r\n" + b"\x00" * 1000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_leave_the_process_healthy(api: Api, name: str) -> None:
    data = HOSTILE[name]
    if data.startswith(POST):
        data = data.replace(POST, POST % api.client.headers["x-api-key"].encode(), 1)
    with socket.create_connection((HOST, api.port), timeout=30) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        except OSError:  # the server has closed already: reset, broken pipe or not connected, whichever comes first
            received = b""
    statuses = {int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]}
    assert statuses <= {200, 400, 404, 408, 413}, received[:2000]
    assert api.predict(CUSTOMER)["churn_probability"] > 0
    assert api.metrics()['churn_http_requests_in_flight{route="/v1/predict"}'] == 0
    assert '"level":"error"' not in api.output
    assert "Traceback" not in api.output


def connect(api: Api) -> socket.socket:
    return socket.create_connection((HOST, api.port), timeout=30)


def test_a_head_without_end_is_refused(api: Api) -> None:
    with connect(api) as connection:
        connection.sendall(b"GET /live HTTP/1.1\r\nHost: api\r\nX-Large: ")
        with pytest.raises(ConnectionError):
            connection.sendall(b"a" * 100_000_000)
    api.predict(CUSTOMER)


@pytest.mark.parametrize("sent", [b"", b"GET /live HTTP/1.1\r\nHost: api\r\nX-Slow: "], ids=["nothing", "half a head"])
def test_a_connection_without_a_request_is_closed(api: Api, sent: bytes) -> None:
    with connect(api) as connection:
        connection.sendall(sent)
        assert connection.recv(1) == b""


def test_a_second_request_on_a_connection_may_not_trickle_either(api: Api) -> None:
    with connect(api) as connection:
        connection.sendall(b"GET /live HTTP/1.1\r\nHost: api\r\n\r\n")
        received = b""
        while not received.endswith(b"}"):
            received += connection.recv(65536)
        assert received.startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /live HTTP/1.1\r\nHo")
        assert connection.recv(1) == b""


def test_pipelined_requests_are_answered_in_their_order(api: Api) -> None:
    one = POST % api.client.headers["x-api-key"].encode() + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    bad = POST % api.client.headers["x-api-key"].encode() + b"Content-Length: 2\r\n\r\n{}"
    with socket.create_connection((HOST, api.port), timeout=30) as connection:
        connection.sendall((one + bad) * 10)
        received = b""
        while received.count(b"HTTP/1.1 ") < 20 or not received.endswith(b"}"):
            received += connection.recv(65536)
    assert [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]] == [200, 422] * 10


def test_clients_that_leave_do_no_harm(api: Api) -> None:
    head = POST % api.client.headers["x-api-key"].encode() + b"Content-Length: %d\r\n\r\n" % len(BODY)
    for _ in range(50):
        with socket.create_connection((HOST, api.port), timeout=30) as connection:
            connection.sendall(head + BODY[:-5])
    wait_until(
        lambda: api.metrics()['churn_http_requests_in_flight{route="/v1/predict"}'] == 0, "nothing waits for them"
    )
    assert '"level":"error"' not in api.output
    api.predict(CUSTOMER)
