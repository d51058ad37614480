"""Drift starts a training when it should, and only then."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from ops.errors import OpsError
from ops.jobs.drift import FIRING, calls_for_training

DRIFT = [{"metric": {"alertname": "FeatureDrift", "feature": "contract"}, "value": [0, "1"]}]


@contextmanager
def prometheus(firing: list[dict[str, Any]], last: float | None, status: int = 200) -> Iterator[str]:
    """A server that answers the two questions as Prometheus does."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())["query"][0]
            staged = [] if last is None else [{"metric": {}, "value": [0, str(last)]}]
            content = json.dumps(
                {"status": "success", "data": {"result": firing if asked == FIRING else staged}}
            ).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("firing", "hours_ago", "trains"),
    [([], None, False), (DRIFT, None, True), (DRIFT, 30, True), (DRIFT, 2, False), ([], 30, False)],
)
def test_it_trains_on_drift_that_no_recent_run_has_answered(
    firing: list[dict[str, Any]], hours_ago: float | None, *, trains: bool
) -> None:
    last = None if hours_ago is None else time.time() - hours_ago * 3600
    with prometheus(firing, last) as url:
        assert calls_for_training(url, 24) is trains


def test_a_prometheus_that_does_not_answer_the_question_is_an_error() -> None:
    with prometheus([], None, status=503) as url, pytest.raises(OpsError, match=r"refuses .* it answered 503"):
        calls_for_training(url, 24)
