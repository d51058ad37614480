"""Drift starts a training when it should, and only then."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest
from support.listening import Listening, QuietHandler, http
from support.promql import Matcher, parse, selectors

from ops.errors import OpsError
from ops.jobs import retrain
from ops.jobs.drift import calls_for_training, firing, last_staged

DRIFT = [{"metric": {"alertname": "FeatureDrift", "feature": "contract"}, "value": [0, "1"]}]


@contextmanager
def prometheus(drifting: list[dict[str, Any]], last: float | None, status: int = 200) -> Iterator[str]:
    """A server that answers the two questions about the model `bank` as Prometheus does, and knows no other model."""

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            asked = parse_qs(self.body().decode())["query"][0]
            staged = [] if last is None else [{"metric": {}, "value": [0, str(last)]}]
            answers = {firing("bank"): drifting, last_staged("bank"): staged}
            content = json.dumps({"status": "success", "data": {"result": answers.get(asked, [])}}).encode()
            self.reply(status, content)

    with Listening(http(Handler)) as server:
        yield server.url


@pytest.mark.parametrize(
    ("drifting", "hours_ago", "trains"),
    [([], None, False), (DRIFT, None, True), (DRIFT, 30, True), (DRIFT, 2, False), ([], 30, False)],
)
def test_it_trains_on_drift_that_no_recent_run_has_answered(
    drifting: list[dict[str, Any]], hours_ago: float | None, *, trains: bool
) -> None:
    last = None if hours_ago is None else time.time() - hours_ago * 3600
    with prometheus(drifting, last) as url:
        assert calls_for_training(url, "bank", 24) is trains


def test_drift_of_one_model_starts_no_training_of_another(capsys: pytest.CaptureFixture[str]) -> None:
    with prometheus(DRIFT, None) as url:
        assert calls_for_training(url, "churn", 24) is False
    assert capsys.readouterr().out == "no drift alert about churn is firing: nothing to do\n"


@pytest.mark.parametrize("query", [firing, last_staged])
def test_a_question_selects_one_model(query: Callable[[str], str]) -> None:
    (selector,) = selectors(parse(query("bank")))
    assert Matcher("model", "=", "bank") in selector.matchers


def test_a_prometheus_that_does_not_answer_the_question_is_an_error() -> None:
    with prometheus([], None, status=503) as url, pytest.raises(OpsError, match=r"refuses .* it answered 503"):
        calls_for_training(url, "bank", 24)


def test_the_question_needs_no_library_of_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pod asks for a quarter of a GiB, which MLflow and scikit-learn alone would take."""
    monkeypatch.setitem(sys.modules, "training.mlflow_store", None)  # importing it now fails
    with prometheus([], None) as url:
        options = retrain.Options.parse(["--rows", "1000", "--when-drifting", url])
        assert retrain.retrain(options, "http://127.0.0.1:9") is None
