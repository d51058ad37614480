"""Queries of Prometheus: what is asked, and how a missing server and a refused expression are reported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import pytest
from support.listening import Listening, QuietHandler, http

from ops.errors import ExitCode, OpsError, exit_code
from ops.prometheus import Prometheus

SERIES = [{"metric": {"job": "api"}, "value": [0, "1"]}]


@dataclass
class Server:
    """Answers every query with `status` and `body`, and keeps the queries."""

    url: str = ""
    status: int = 200
    body: str = json.dumps({"status": "success", "data": {"result": SERIES}})
    queries: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            parameters = parse_qs(self.body().decode())
            state.queries.append((self.path, parameters))
            self.reply(state.status, state.body.encode())

    with Listening(http(Handler)) as running:
        state.url = running.url
        yield state


def test_both_kinds_of_query(server: Server) -> None:
    prometheus = Prometheus(f"{server.url}/")
    assert prometheus.query("up") == SERIES
    assert prometheus.query_range("up", start=1, end=2, step=5) == SERIES
    assert server.queries == [
        ("/api/v1/query", {"query": ["up"]}),
        ("/api/v1/query_range", {"query": ["up"], "start": ["1"], "end": ["2"], "step": ["5"]}),
    ]


def test_a_refused_expression_is_named_with_the_reason(server: Server) -> None:
    server.status, server.body = 400, json.dumps({"status": "error", "error": "parse error: unclosed left parenthesis"})
    with pytest.raises(
        OpsError, match=rf"Prometheus at {server.url} refuses 'rate\(': parse error: unclosed"
    ) as caught:
        Prometheus(server.url).query("rate(")
    assert exit_code(caught.value) is ExitCode.BAD_INPUT


@pytest.mark.parametrize("body", ["<html>bad gateway</html>", ""])
def test_an_answer_of_something_else_names_the_address_and_the_remedy(server: Server, body: str) -> None:
    server.body = body
    with pytest.raises(OpsError, match=f"no Prometheus answers at {server.url}: .*check the address"):
        Prometheus(server.url).query("up")


def test_no_answer_may_pass_when_tried_again() -> None:
    with pytest.raises(OpsError, match=r"no Prometheus answers at http://127\.0\.0\.1:1: ") as caught:
        Prometheus("http://127.0.0.1:1").query("up")
    assert exit_code(caught.value) is ExitCode.FAILED
