"""What Prometheus sees of a stack that is well."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from support.live import Live

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

ONE_CUSTOMER = {"FeatureDrift", "ScoreDrift"}
"""The load before these tests sent one customer over and over, which is drift indeed."""


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


def test_nothing_alarms_but_the_watchdog(live: Live) -> None:
    def firing() -> set[str]:
        alerts = live.ask_prometheus("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"} - ONE_CUSTOMER

    assert settled(firing, {"Watchdog"}, 300) == {"Watchdog"}
