"""Errors of the edge itself are problem documents: a real nginx with the snippets and routes of the recorded stack."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from typing import Final

import httpx
import pytest
from support.edge import Edge, running_edge
from support.listening import Listening, QuietHandler
from support.listening import http as server

from app import errors
from infra.naming import API, GRAFANA
from infra.workloads.ingress_problems import MEDIA_TYPE, OUTAGE_SECONDS, PROBLEMS, RATE_SECONDS

pytestmark = pytest.mark.service

READ_SECONDS: Final = 1
OWN_PROBLEM: Final = b'{"code": "no-model"}'


class Backend(QuietHandler):
    """The API, as far as the edge sees it."""

    def do_GET(self) -> None:
        if self.path == "/v1/slow":
            time.sleep(READ_SECONDS * 2)
        if self.path == "/v1/hang-up":
            self.close_connection = True
            return
        with contextlib.suppress(OSError):  # the edge did not wait
            self.reply(200)

    def do_POST(self) -> None:
        self.body()
        self.reply(503, OWN_PROBLEM, MEDIA_TYPE)


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    slow = {"proxy-read-timeout": f"{READ_SECONDS}s"}
    annotations = {API: slow, GRAFANA: {"limit-req-rate": "1r/m", "limit-req-burst": "1"}}
    every = " ".join(f"location = /say/{problem.status} {{ return {problem.status}; }}" for problem in PROBLEMS)
    folder = tmp_path_factory.mktemp("edge")
    with (
        Listening(server(Backend)) as backend,
        running_edge(folder, {API: backend.address}, annotations=annotations, locations=every) as running,
    ):
        yield running


def check(answer: httpx.Response, status: int) -> None:
    """The answer has the documented shape."""
    (problem,) = (item for item in PROBLEMS if item.status == status)
    assert answer.status_code == status
    assert answer.headers["content-type"] == MEDIA_TYPE
    document = errors.ProblemBody.model_validate_json(answer.content)
    assert (document.status, document.code, document.title) == (status, problem.code, problem.title)
    assert document.type == f"urn:churn:problem:{problem.code}"
    assert answer.headers["x-request-id"] == document.request_id
    assert answer.headers.get("retry-after") == (problem.retry_seconds and str(problem.retry_seconds))
    assert answer.headers["strict-transport-security"].startswith("max-age=31536000")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("status", [problem.status for problem in PROBLEMS])
def test_every_error_of_the_edge_is_a_problem_document(edge: Edge, status: int) -> None:
    check(edge.ask("api", f"/say/{status}"), status)


@pytest.mark.parametrize("path", ["/metrics", "/nothing.html"])
def test_a_path_without_a_route(edge: Edge, path: str) -> None:
    check(edge.ask("api", path), 404)


def test_the_refusal_of_a_body_names_the_limit(edge: Edge) -> None:
    answer = edge.ask("api", "/v1/predict", "POST", content=b"x" * (3 * 2**20))
    check(answer, 413)
    assert "2 MiB" in answer.json()["detail"]
    # Without a length in its head, the body is refused once too much of it has come.
    check(edge.ask("api", "/v1/predict", "POST", content=iter([b"x" * 2**20] * 3)), 413)


def test_the_refusal_of_an_artifact_says_where_to_read_on(edge: Edge) -> None:
    status, document = edge.announce("mlflow", 513 * 2**20)
    assert (status, document["code"]) == (413, "body-too-large")
    assert "512 MiB" in document["detail"]
    assert "docs/platform.md" in document["detail"]


def test_a_service_that_is_slow_gone_or_hangs_up(edge: Edge) -> None:
    check(edge.ask("api", "/v1/slow"), 504)
    check(edge.ask("api", "/v1/hang-up"), 502)


def test_a_client_that_asks_too_often_learns_when_to_come_back(edge: Edge) -> None:
    answers = [edge.ask("grafana", "/") for _ in range(4)]
    # The service is gone, so the requests that are let through fail in another way.
    check(answers[0], 502)
    check(answers[-1], 429)
    assert (answers[0].headers["retry-after"], answers[-1].headers["retry-after"]) == (
        str(OUTAGE_SECONDS),
        str(RATE_SECONDS),
    )


def test_an_answer_of_the_api_passes_unchanged(edge: Edge) -> None:
    answer = edge.ask("api", "/v1/predict", "POST", content=b"{}")
    assert (answer.status_code, answer.content) == (503, OWN_PROBLEM)


@pytest.mark.parametrize(
    ("sent", "own"), [("from-a.client_1", "from-a.client_1"), ('"}, {"status": 200', ""), ("x" * 65, ""), ("a b", "")]
)
def test_a_harmless_request_id_is_the_clients_own(edge: Edge, sent: str, own: str) -> None:
    answer = edge.ask("api", "/metrics", headers={"X-Request-ID": sent})
    check(answer, 404)
    assert answer.json()["request_id"] == own or (
        not own and re.fullmatch(r"[0-9a-f]{32}", answer.json()["request_id"])
    )


def test_codes_that_the_api_has_too_mean_the_same() -> None:
    known = {problem.code: problem for problem in errors.CATALOGUE}
    shared = [problem for problem in PROBLEMS if problem.code in known]
    assert shared
    for problem in shared:
        assert (problem.status, problem.title) == (known[problem.code].status, known[problem.code].title)
    assert errors.MEDIA_TYPE == MEDIA_TYPE
