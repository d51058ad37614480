"""Drift starts a training when it should, and only then."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest
from support.listening import Listening, QuietHandler, http

from ops.errors import OpsError
from ops.jobs import retrain
from ops.jobs.drift import FIRING, calls_for_training

DRIFT = [{"metric": {"alertname": "FeatureDrift", "feature": "contract"}, "value": [0, "1"]}]


@contextmanager
def prometheus(firing: list[dict[str, Any]], last: float | None, status: int = 200) -> Iterator[str]:
    """A server that answers the two questions as Prometheus does."""

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            asked = parse_qs(self.body().decode())["query"][0]
            staged = [] if last is None else [{"metric": {}, "value": [0, str(last)]}]
            content = json.dumps(
                {"status": "success", "data": {"result": firing if asked == FIRING else staged}}
            ).encode()
            self.reply(status, content)

    with Listening(http(Handler)) as server:
        yield server.url


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


def test_the_question_needs_no_library_of_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pod asks for a quarter of a GiB, which MLflow and scikit-learn alone would take."""
    monkeypatch.setitem(sys.modules, "training.mlflow_store", None)  # importing it now fails
    with prometheus([], None) as url:
        options = retrain.Options.parse(["--rows", "1000", "--when-drifting", url])
        assert retrain.retrain(options, "http://127.0.0.1:9") is None
