"""What jobs push reaches a gateway once it answers, and a gateway that never does fails no job."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from support.pushing import Pushgateway

from ops import metric_names, pushgateway
from ops.pushgateway import push


@pytest.fixture
def gateway() -> Iterator[Pushgateway]:
    with Pushgateway() as running:
        yield running


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushgateway, "PAUSES", (0, 0, 0))


def test_figures_reach_their_group_with_their_help(gateway: Pushgateway, capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = {
        metric_names.series(metric_names.TRAINING_VERDICT, verdict=verdict): float(verdict == "staged")
        for verdict in ("staged", "refused")
    }
    push(gateway.url, "backup", {metric_names.BACKUP_KEPT: 7, **verdicts}, kind="postgres")
    (pushed,) = gateway.pushes
    assert pushed.path == "/metrics/job/backup/kind/postgres"
    assert pushed.samples == {
        (metric_names.BACKUP_KEPT, ()): 7,
        (metric_names.TRAINING_VERDICT, ("staged",)): 1,
        (metric_names.TRAINING_VERDICT, ("refused",)): 0,
    }
    assert f"# HELP churn_backup_kept {metric_names.HELP[metric_names.BACKUP_KEPT]}\n" in pushed.body
    assert "# TYPE churn_training_verdict gauge\n" in pushed.body
    assert capsys.readouterr().err == ""


def test_a_gateway_that_fails_at_first_is_tried_again(gateway: Pushgateway, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.statuses = [500, 0, 503]
    push(gateway.url, "drill", {metric_names.DRILL_SUCCESS: 1})
    assert len(gateway.pushes) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[", "ftp://127.0.0.1:1"])
def test_a_gateway_that_cannot_be_reached_is_mentioned_once(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    push(url, "drill", {metric_names.DRILL_SUCCESS: 1})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"the metrics of this run could not be pushed to {url}: ")


def test_one_that_refuses_every_time_is_tried_four_times(
    gateway: Pushgateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.statuses = [500] * 5
    push(gateway.url, "drill", {metric_names.DRILL_SUCCESS: 1})
    assert (len(gateway.statuses), gateway.pushes) == (1, [])
    assert "the metrics of this run could not be pushed to" in capsys.readouterr().err


@pytest.mark.parametrize("url", [None, ""])
def test_without_a_gateway_nothing_is_pushed(url: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    push(url, "drill", {metric_names.DRILL_SUCCESS: 1})
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/metrics/job/backup", "a 1\n", 200),
        ("/metrics/job/backup", 'a{b="1"} 1\na{b="2"} 1\n', 200),
        ("/metrics/job/backup", "a 1", 400),
        ("/metrics/job/backup", "a 1\na 2\n", 400),
        ("/metrics/job/backup", "", 400),
        ("/metrics", "a 1\n", 404),
        ("/metrics/job/backup/kind", "a 1\n", 404),
    ],
)
def test_the_gateway_of_these_tests_refuses_what_a_real_one_does(
    gateway: Pushgateway, path: str, body: str, status: int
) -> None:
    answer = httpx.post(f"{gateway.url}{path}", content=body, trust_env=False)
    assert (answer.status_code, len(gateway.pushes)) == (status, int(status == 200))


def test_every_value_is_exact(gateway: Pushgateway) -> None:
    figures = {metric_names.BACKUP_LAST_RUN: 1764480000.123456, metric_names.BACKUP_BYTES: 2.0**53}
    push(gateway.url, "backup", figures)
    assert {name: value for (name, _), value in gateway.pushes[0].samples.items()} == figures
