"""At rest the platform uses no more processor time and memory than it requests, so `dev` does not request too little.

`dev` requests little, so that it fits into two CPUs. What the pods use is printed, as evidence for the next change.
"""

from __future__ import annotations

import json

import pytest
from support.live import Live
from support.servers import wait_until

from infra.naming import NAMESPACES
from ops.stack.demand import Room, of_pod, room

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]

WITHIN = 300
"""Seconds for what a start costs to be over; metrics-server averages over 15 seconds or more."""


def used(live: Live) -> dict[str, Room]:
    """What each running pod of the platform uses, as metrics-server says."""
    answer = live.kubectl.run("get", "--raw", "/apis/metrics.k8s.io/v1beta1/pods")
    return {
        item["metadata"]["name"]: sum((room(container["usage"]) for container in item["containers"]), Room())
        for item in json.loads(answer.out)["items"]
        if item["metadata"]["namespace"] in NAMESPACES
    }


def test_at_rest_everything_together_uses_no_more_than_it_requests(live: Live) -> None:
    pods = [pod for pod in live.everything() if pod["status"]["phase"] == "Running"]
    requested = sum((of_pod(pod["spec"]) for pod in pods), Room())

    def in_bounds() -> bool:
        now = used(live)
        return len(now) >= len(pods) and sum(now.values(), Room()).fits(requested)

    wait_until(in_bounds, f"the pods at rest use at most {requested}", WITHIN)
    live.figures["use at rest by pod"] = {name: str(use) for name, use in sorted(used(live).items())}
