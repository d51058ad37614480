"""S3 by moto, and a way to it on which things go wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import boto3
import httpx
from moto.server import ThreadedMotoServer
from support.listening import Listening
from support.servers import HOST

from ops.plain_http import NO_TLS

REGION: Final = "eu-central-1"
CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}
SLOW_SECONDS: Final = 1.5
_HOP: Final = frozenset({"connection", "transfer-encoding", "content-length", "host", "keep-alive", "expect"})


@contextmanager
def moto() -> Iterator[str]:
    """The URL of an empty S3 and KMS."""
    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        # A server that shares two cores with builds may take longer than the five seconds of the default.
        httpx.post(
            f"http://{HOST}:{port}/moto-api/reset", timeout=60, trust_env=False, verify=NO_TLS
        ).raise_for_status()
        yield f"http://{HOST}:{port}"
    finally:
        server.stop()


@cache
def client(url: str, service: str = "s3", region: str = REGION) -> Any:
    """A client of a service; kept, since each that is made reads its service's description for a tenth of a second."""
    return boto3.client(
        service, endpoint_url=url, aws_access_key_id="test", aws_secret_access_key="test",  # noqa: S106 - moto's
        region_name=region,
    )  # fmt: skip


def encrypted_bucket(url: str, name: str, region: str = REGION) -> str:
    """Make a bucket with versions and a key of its own, as the stacks' buckets have; returns the key's address."""
    key: str = client(url, "kms", region).create_key()["KeyMetadata"]["Arn"]
    s3 = client(url, region=region)
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
    return key


def environment(url: str) -> dict[str, str]:
    """For a program that is to find it."""
    return CREDENTIALS | {"AWS_ENDPOINT_URL": url, "NO_PROXY": HOST}


Fault = Callable[[str, str, int], str | None]
"""Of method, path and number of the request: "503" answers so, "reset" hangs up, "cut" breaks the answer off,
"slow" holds it back."""


class _Handler(BaseHTTPRequestHandler):
    """Hands a request on, or lets it fail. ``server`` is the listener with the proxy's decisions."""

    protocol_version = "HTTP/1.1"
    server: _Listener

    def answer(self) -> None:
        body = self._body()
        wrong = self.server.decide(self.command, self.path)
        if wrong == "reset":
            self.close_connection = True
            self.connection.close()
            return
        if wrong == "503":
            self._send(503, {}, b"<Error><Code>SlowDown</Code><Message>later</Message></Error>")
            return
        if wrong == "slow":
            time.sleep(SLOW_SECONDS)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        upstream = self.server.upstream
        answer = upstream.send(upstream.build_request(self.command, self.path, headers=headers, content=body))
        self._send(answer.status_code, dict(answer.headers), answer.content, cut=wrong == "cut")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

    def _body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            return b"".join(iter(self._chunk, b""))
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunk(self) -> bytes:
        data = self.rfile.read(int(self.rfile.readline().split(b";")[0], 16))
        self.rfile.readline()
        return data

    def _send(self, status: int, headers: dict[str, str], body: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        length = headers.get("content-length", "0") if self.command == "HEAD" else str(len(body))
        for name, value in headers.items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, upstream: httpx.Client, decide: Callable[[str, str], str | None]) -> None:
        super().__init__((HOST, 0), _Handler)
        self.upstream = upstream
        self.decide = decide

    def handle_error(self, *_: object) -> None:
        """A client that hung up is no news."""


class FaultyProxy(Listening):
    """Between a client and S3; ``fault`` decides for each request whether something goes wrong."""

    def __init__(self, target: str, fault: Fault) -> None:
        self.requests = 0
        self.faults = 0
        self._fault = fault
        self._lock = threading.Lock()
        self._upstream = httpx.Client(base_url=target, trust_env=False, timeout=60)
        super().__init__(_Listener(self._upstream, self._decide))

    def _decide(self, method: str, path: str) -> str | None:
        with self._lock:
            self.requests += 1
            wrong = self._fault(method, path, self.requests)
            self.faults += wrong is not None
            return wrong

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._upstream.close()
