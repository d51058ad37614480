"""Ten faults, each to the message in the right channels and to the one that says it is over.

The killed API has a test in real time of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.alerting_stage import (
    BACKUP,
    DAY,
    EXPIRY,
    FREE,
    MLFLOW_PODS,
    SECONDS,
    Stage,
    healthy_figures,
    launch,
    running,
    wait_for,
)
from support.servers import wait_until

pytestmark = [pytest.mark.service, pytest.mark.faults, pytest.mark.timeout(1800)]
MUTED_SECONDS = 10.0
"""Three times as long as a message of a warning waits for others, which are 30 s of usual time."""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Everything started anew for each test: earlier faults would stay in the windows of the rules for hours."""
    with running(tmp_path) as stage:
        yield stage


def test_eight_faults_tell_the_channels_of_a_warning_and_then_that_they_are_over(
    stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    stage.wait_for_quiet()
    assert {message.channel for message in stage.watched.inbox.messages} <= {"deadman"}
    usual, began = stage.traffic.customers, time.monotonic()
    stage.refuse_a_version()
    stage.traffic.customers = [dict(row, contract="Two year", tenure_months=72) for row in usual]
    stage.traffic.wrong_keys = True
    stage.exporter.figures |= {
        FREE: 5.0,
        BACKUP: time.time() - 27 * 3600,
        EXPIRY: time.time() + 10 * DAY,
        MLFLOW_PODS: 0,
    }
    stage.mlflow.kill()
    alerts = (
        "ModelRefused", "FeatureDrift", "ApiKeySurge", "VolumeFilling", "BackupMissing", "CertificateExpiring",
        "RegistryUnreachable", "MlflowDown",
    )  # fmt: skip
    try:
        record_property("seconds", stage.seconds_to_arrive(dict.fromkeys(alerts, "warning"), began))
    finally:  # mended also where a message was missed
        mended = time.monotonic()
        stage.traffic.customers, stage.traffic.wrong_keys = usual, False
        stage.exporter.figures |= healthy_figures()
        launch(stage.mlflow)
    (slack, *_) = stage.watched.inbox.about("VolumeFilling", channel="slack")
    assert "data in churn-mlops has 5% left" in " ".join(slack.text.split())
    assert "docs/runbooks/node-exporter.md#volumefilling" in slack.text
    # The refusal is over by itself, as the alias was moved back at once; the others only now.
    record_property("refused over", stage.seconds_to_arrive({"ModelRefused": "warning"}, began, resolved=True))
    others = dict.fromkeys((alert for alert in alerts if alert != "ModelRefused"), "warning")
    record_property("over", stage.seconds_to_arrive(others, mended, resolved=True))


def test_slow_and_failing_predictions_page_and_a_lesser_alert_of_the_api_stays_quiet(
    stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    firing = stage.watched.prometheus.firing
    stage.wait_for_quiet()
    (stage.faults / "slow").touch()
    began = time.monotonic()
    record_property("slow", stage.seconds_to_arrive({"ApiLatencyBurnFast": "critical"}, began))
    # A warning of the same workload fires meanwhile, and nobody is told.
    stage.traffic.wrong_keys = True
    wait_for(lambda: "ApiKeySurge" in firing(), "the surge fires")
    time.sleep(MUTED_SECONDS)
    assert {"ApiKeySurge", "ApiLatencyBurnFast"} <= firing()
    assert stage.watched.inbox.about("ApiKeySurge") == []
    stage.traffic.wrong_keys = False
    wait_for(lambda: "ApiKeySurge" not in firing(), "the surge is over")
    (stage.faults / "slow").unlink()
    (stage.faults / "failing").touch()
    began = time.monotonic()
    record_property("failing", stage.seconds_to_arrive({"ApiAvailabilityBurnFast": "critical"}, began))
    (stage.faults / "failing").unlink()
    mended = time.monotonic()
    record_property("over", stage.seconds_to_arrive({"ApiAvailabilityBurnFast": "critical"}, mended, resolved=True))


def test_the_dead_mans_service_is_called_again_and_again(stage: Stage) -> None:
    def calls() -> list[str]:
        return [message.title for message in stage.watched.inbox.messages if message.channel == "deadman"]

    wait_until(lambda: len(calls()) >= 3, "three calls", SECONDS, pause=0.5)
    assert set(calls()) == {"Watchdog"}
