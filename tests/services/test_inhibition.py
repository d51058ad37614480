"""Which alerts silence which, on a real Alertmanager with prod's routes.

Alerts are given to Alertmanager as Prometheus sends them, with the labels of their rules.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from support import uses
from support.servers import free_port, wait_until
from support.sinks import Hooks, Inbox, Mails
from support.watched import Alertmanager, alertmanager_config

from infra.workloads.alertmanager_config import CAUSES
from ops.plain_http import NO_TLS

pytestmark = pytest.mark.service
SPEED = 60
"""The dead man's service is called every second, and a page waits for a sixth of one."""
SECONDS = 60
LABELS: dict[str, dict[str, str]] = {rule["alert"]: rule["labels"] for rule in uses.rules() if "alert" in rule}


class Stage:
    """A running Alertmanager and what it sent."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.inbox = Inbox()
        hooks, mails = stack.enter_context(Hooks(self.inbox)), stack.enter_context(Mails(self.inbox))
        config = alertmanager_config(folder, hooks, mails, SPEED)
        (folder / "alertmanager.yml").write_text(json.dumps(config), encoding="utf-8")
        self.server = stack.enter_context(Alertmanager(folder, free_port()))

    def fire(self, *alerts: str, **labels: str) -> None:
        """Report that these alerts fire, for longer than any test lasts."""
        now = datetime.now(UTC)
        period = {"startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat()}
        content = [
            {
                "labels": {"alertname": alert, "stack": "prod", **LABELS[alert], **labels},
                "annotations": {"summary": alert, "description": alert, "runbook_url": "r", "dashboard": "d"},
                **period,
            }
            for alert in alerts
        ]
        answer = httpx.post(
            f"{self.server.url}/api/v2/alerts", json=content, timeout=10, trust_env=False, verify=NO_TLS
        )
        answer.raise_for_status()

    def inhibited(self) -> set[str]:
        """Names of the alerts that others inhibit."""
        answer = httpx.get(f"{self.server.url}/api/v2/alerts", timeout=10, trust_env=False, verify=NO_TLS)
        alerts: list[dict[str, Any]] = answer.raise_for_status().json()
        return {alert["labels"]["alertname"] for alert in alerts if alert["status"]["inhibitedBy"]}

    def deadman_calls(self) -> int:
        """How often the dead man's service was called."""
        return sum(message.channel == "deadman" for message in list(self.inbox.messages))

    def wait_for_page(self, alert: str) -> None:
        """Wait until the alert was paged."""
        wait_until(lambda: self.inbox.about(alert, channel="pagerduty"), f"{alert} is paged", SECONDS)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(tmp_path, stack)


CRITICAL_OF_PROMETHEUS = sorted(
    alert
    for alert, labels in LABELS.items()
    if labels["severity"] == "critical" and labels["workload"] == LABELS["Watchdog"]["workload"]
)


def test_the_dead_mans_service_keeps_being_called_while_prometheus_itself_is_critical(stage: Stage) -> None:
    stage.fire("Watchdog")
    wait_until(stage.deadman_calls, "the first call", SECONDS)
    assert CRITICAL_OF_PROMETHEUS
    stage.fire(*CRITICAL_OF_PROMETHEUS, "PrometheusReplicaDown")
    for alert in CRITICAL_OF_PROMETHEUS:
        stage.wait_for_page(alert)
    assert stage.inhibited() == {"PrometheusReplicaDown"}
    before = stage.deadman_calls()
    wait_until(lambda: stage.deadman_calls() >= before + 3, "three more calls", SECONDS)


def test_no_alert_silences_the_watchdog(stage: Stage) -> None:
    stage.fire(*LABELS, node="n1", scope="pod")
    wait_until(lambda: "PrometheusReplicaDown" in stage.inhibited(), "lesser alerts are silenced", SECONDS)
    assert "Watchdog" not in stage.inhibited()


def test_people_are_paged_for_the_cause_alone_and_for_the_effect_where_it_is_alone(stage: Stage) -> None:
    pairs = [(effect, cause) for effect, causes in CAUSES.items() for cause in causes]
    # Each pair in a stack of its own: nothing silences alerts of another stack.
    for _, cause in pairs:
        stage.fire(cause, stack=cause)
        stage.wait_for_page(cause)
    for effect, cause in pairs:
        stage.fire(effect, stack=cause)
    # An alert that came later and was paged shows that the time for the effects' pages is over.
    stage.fire("ModelMissing")
    stage.wait_for_page("ModelMissing")
    assert stage.inhibited() == CAUSES.keys()
    assert [message for effect in CAUSES for message in stage.inbox.about(effect)] == []
    stage.fire(*CAUSES, stack="no cause")
    for effect in CAUSES:
        stage.wait_for_page(effect)


def test_a_model_that_is_missing_silences_no_alert_about_another_model_or_about_all_of_them(stage: Stage) -> None:
    stage.fire("ModelMissing", model="churn")
    stage.wait_for_page("ModelMissing")
    stage.fire("ModelRefused", model="churn")
    stage.fire("ModelStale", "ScoreDrift", model="retention-offer")
    stage.fire("ApiSaturated")
    wait_until(lambda: stage.inhibited() == {"ModelRefused"}, "the same model's is silenced", SECONDS)
    stage.fire("ApiDown")
    lesser = {"ModelRefused", "ModelStale", "ScoreDrift", "ApiSaturated"}
    wait_until(lambda: stage.inhibited() == lesser, "that all pods are gone silences those of every model", SECONDS)
