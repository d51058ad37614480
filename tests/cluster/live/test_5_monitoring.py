"""Prometheus sees every target of a healthy stack, and no alert fires."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from support.live import Live

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

OF_THE_LOAD = {"FeatureDrift", "ScoreDrift", "ApiLatencyBurnFast", "ApiLatencyBurnSlow"}
"""Alerts about the earlier load: it repeats one customer, which is drift, and is slow until pods are added."""
OF_THE_HOST = {"NodeDiskFilling", "NodeDiskWillFill", "VolumeFilling", "VolumeWillFill"}
"""Alerts about disks: volumes of such a cluster are folders of the host, whose disk other programs may fill."""
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


def test_only_the_watchdog_fires(live: Live) -> None:
    def firing() -> set[str]:
        alerts = live.ask_prometheus("alerts")["alerts"]
        names = {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
        return names - OF_THE_LOAD - OF_THE_HOST

    assert settled(firing, {"Watchdog"}, 300) == {"Watchdog"}
