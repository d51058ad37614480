"""Prometheus sees every target of a healthy stack, and no alert fires."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from support.exposed import UNRECORDED
from support.live import Live

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

OF_THE_LOAD = {"FeatureDrift", "ScoreDrift", "ApiLatencyBurnFast", "ApiLatencyBurnSlow"}
"""Alerts about the earlier load: it repeats one customer, which is drift, and is slow until pods are added."""
OF_THE_HOST = {"BackupVolumeFilling", "NodeDiskFilling", "NodeDiskWillFill", "VolumeFilling", "VolumeWillFill"}
"""Alerts about disks: volumes of such a cluster are folders of the host, whose disk other programs may fill."""
ELSEWHERE = {
    "kube_cronjob_status_last_schedule_time": "no schedule comes round within a test",
    "kube_pod_container_status_last_terminated_reason": "only a container that has ended has one",
    "kube_pod_container_status_terminated_reason": "only a container that has ended has one",
} | dict.fromkeys((name for name in UNRECORDED if name.startswith("thanos_")), "dev has no Thanos")
"""Unrecorded metrics that this cluster need not have, and why."""
LOOK_SECONDS = 3


def settled(look: Callable[[], set[str]], expected: set[str], within: float) -> set[str]:
    """The last result of ``look``, as soon as it is the expected one or time is up."""
    deadline = time.monotonic() + within
    while (seen := look()) != expected and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    return seen


def test_every_target_answers(live: Live) -> None:
    def down() -> set[str]:
        targets: list[dict[str, Any]] = live.ask_prometheus("targets", state="active")["activeTargets"]
        assert len({target["labels"]["job"] for target in targets}) >= 12
        return {f"{target['scrapeUrl']}: {target['lastError']}" for target in targets if target["health"] != "up"}

    assert settled(down, set(), 120) == set()


@pytest.mark.parametrize("metric", sorted(UNRECORDED.keys() - ELSEWHERE.keys()))
def test_a_metric_that_no_recording_has_is_there_with_its_labels(live: Live, metric: str) -> None:
    expected = UNRECORDED[metric]
    series = live.ask_prometheus("query", query=f'{metric}{{job="{expected.job}"}}')["result"]
    assert series
    assert expected.labels <= {label for item in series for label in item["metric"]}


def test_disks_are_watched(live: Live) -> None:
    """Whatever the nodes of this cluster are, at least one disk of each counts."""
    nodes = live.metric('count(up{job="node-exporter"})')
    assert nodes
    assert live.metric("count(count by (node) (churn:node_disk_avail:bytes / churn:node_disk_size:bytes))") == nodes


def test_only_the_watchdog_fires(live: Live) -> None:
    def firing() -> set[str]:
        alerts = live.ask_prometheus("alerts")["alerts"]
        names = {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
        return names - OF_THE_LOAD - OF_THE_HOST

    assert settled(firing, {"Watchdog"}, 300) == {"Watchdog"}
