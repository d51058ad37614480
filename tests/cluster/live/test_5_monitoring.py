"""What Prometheus sees of a stack that is well."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from support.live import Live

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

OF_THE_LOAD = {"FeatureDrift", "ScoreDrift", "ApiLatencyBurnFast", "ApiLatencyBurnSlow"}
"""The load before these tests sends one customer over and over, which is drift indeed, until pods have to be added."""
OF_THE_HOST = {"NodeDiskFilling", "NodeDiskWillFill", "VolumeFilling", "VolumeWillFill"}
"""Volumes of such a cluster are folders of the host, whose disk other work may be filling."""
LOOK_SECONDS = 3


def settled(look: Callable[[], set[str]], wanted: set[str], within: float) -> set[str]:
    """What is seen, as soon as it is what is wanted or the time is over."""
    deadline = time.monotonic() + within
    while (found := look()) != wanted and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    return found


def test_every_target_answers(live: Live) -> None:
    def down() -> set[str]:
        targets: list[dict[str, Any]] = live.ask_prometheus("targets", state="active")["activeTargets"]
        assert len({target["labels"]["job"] for target in targets}) >= 12
        return {f"{target['scrapeUrl']}: {target['lastError']}" for target in targets if target["health"] != "up"}

    assert settled(down, set(), 120) == set()


def test_nothing_else_alarms_than_the_watchdog(live: Live) -> None:
    def firing() -> set[str]:
        alerts = live.ask_prometheus("alerts")["alerts"]
        found = {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
        return found - OF_THE_LOAD - OF_THE_HOST

    assert settled(firing, {"Watchdog"}, 300) == {"Watchdog"}
