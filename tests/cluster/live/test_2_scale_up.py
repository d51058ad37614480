"""Real load scales the API up from its minimum, and no request fails. A later test sees it scale down."""

from __future__ import annotations

import pytest
from support.live import Live, seconds_until
from support.servers import wait_until

from infra.naming import API

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(1800),
    pytest.mark.long(seconds=60, together="scale-up"),
]

RATE = 600
"""Requests a second: two pods with a tenth of a CPU requested use well over 70 % of it. A key may send 1,000, which
a higher rate exceeds when requests that waited for a busy pod are counted together."""
WITHIN = 180


def replicas(live: Live) -> int:
    return int(live.object("deployment", API)["status"].get("readyReplicas", 0))


def test_load_scales_the_api_up_without_a_failed_request(live: Live) -> None:
    least = live.object("hpa", API)["spec"]["minReplicas"]
    # The autoscaler is created after the Deployment, which starts with one replica.
    wait_until(lambda: replicas(live) == least, "the API is at its minimum", WITHIN)
    with live.load("scale", rate=RATE) as load:
        seconds = seconds_until(lambda: replicas(live) > least, "the API has more pods than its minimum", WITHIN)
        live.figures["load to more API pods, s"] = round(seconds)
        seconds_until(lambda: replicas(live) == len(live.pods(API)), "the new pods are Ready", WITHIN)
        live.figures["API pods under load"] = replicas(live)
    live.figures["scale-up load"] = f"{load.report.requests} requests, {load.report.failed} failed"
    assert load.report.failed == 0, (load.report.codes, load.report.errors[:3])
    assert load.report.requests > RATE
