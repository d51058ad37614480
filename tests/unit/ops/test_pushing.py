"""What jobs push reaches a gateway once it answers, and a gateway that never does fails no job."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ops import metric_names, pushgateway
from ops.pushgateway import push


@dataclass
class Gateway:
    """Answers with the codes of `answers` in turn, then with 200, and keeps what it was sent."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    pushed: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    state = Gateway()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            code = state.answers.pop(0) if state.answers else 200
            if code == 200:
                state.pushed.append((self.path, body))
            if code == 0:
                self.wfile.write(b"nonsense\r\n\r\n")
                return
            self.send_response(code)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield state
        server.shutdown()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushgateway, "PAUSES", (0, 0, 0))


def samples(body: str) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


def test_figures_reach_their_group_with_their_help(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = {
        metric_names.series(metric_names.TRAINING_VERDICT, verdict=verdict): float(verdict == "staged")
        for verdict in ("staged", "refused")
    }
    push(gateway.url, "backup", {metric_names.BACKUP_KEPT: 7, **verdicts}, kind="postgres")
    ((path, body),) = gateway.pushed
    assert path == "/metrics/job/backup/kind/postgres"
    assert samples(body) == {
        (metric_names.BACKUP_KEPT, ()): 7,
        (metric_names.TRAINING_VERDICT, ("staged",)): 1,
        (metric_names.TRAINING_VERDICT, ("refused",)): 0,
    }
    assert f"# HELP churn_backup_kept {metric_names.HELP[metric_names.BACKUP_KEPT]}\n" in body
    assert "# TYPE churn_training_verdict gauge\n" in body
    assert capsys.readouterr().err == ""


def test_a_gateway_that_fails_at_first_is_tried_again(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.answers = [500, 0, 503]
    push(gateway.url, "drill", {metric_names.DRILL_SUCCESS: 1})
    assert len(gateway.pushed) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[", "ftp://127.0.0.1:1"])
def test_a_gateway_that_cannot_be_reached_is_mentioned_once(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    push(url, "drill", {metric_names.DRILL_SUCCESS: 1})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"the pushgateway at {url} was not told of this run: ")


def test_one_that_refuses_every_time_is_tried_four_times(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.answers = [500] * 5
    push(gateway.url, "drill", {metric_names.DRILL_SUCCESS: 1})
    assert (len(gateway.answers), gateway.pushed) == (1, [])
    assert "was not told of this run" in capsys.readouterr().err


@pytest.mark.parametrize("url", [None, ""])
def test_without_a_gateway_nothing_is_pushed(url: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    push(url, "drill", {metric_names.DRILL_SUCCESS: 1})
    assert capsys.readouterr().err == ""


def test_every_value_is_exact(gateway: Gateway) -> None:
    figures = {metric_names.BACKUP_LAST_RUN: 1764480000.123456, metric_names.BACKUP_BYTES: 2.0**53}
    push(gateway.url, "backup", figures)
    assert {name: value for (name, _), value in samples(gateway.pushed[0][1]).items()} == figures
