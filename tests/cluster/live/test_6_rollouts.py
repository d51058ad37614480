"""No request fails during changes and drains, at 200 requests a second."""

from __future__ import annotations

import os
import time

import pytest
from support.kubectl import Json
from support.live import Live, is_ready, seconds_until
from support.servers import wait_until

from infra.naming import API

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]

RATE = 200


def uids(live: Live) -> set[str]:
    return {pod["metadata"]["uid"] for pod in live.pods(API)}


def settled(live: Live) -> bool:
    """Whether there are as many pods as the autoscaler set, all Ready, and none being deleted."""
    replicas: int = live.object("deployment", API)["spec"]["replicas"]
    return len(live.ready(API)) == replicas == len(live.pods(API))


def test_the_api_has_come_down_to_its_minimum(live: Live) -> None:
    least = live.object("hpa", API)["spec"]["minReplicas"]
    wait_until(lambda: len(live.pods(API)) == least and settled(live), "the API is at its minimum again", 600)


def test_a_new_image_loses_no_request(live: Live) -> None:
    tag = os.environ.get("CHURN_LIVE_NEXT_TAG", "")
    if not tag:
        pytest.skip("CHURN_LIVE_NEXT_TAG names no second tag under which the cluster has the images")
    before = uids(live)
    with live.load("image", rate=RATE) as load:
        live.project.configure(lambda config: config["churn:images"].update(tag=tag))
        started = time.monotonic()
        live.up()
        live.figures["a new release of all images, s"] = round(time.monotonic() - started)
        wait_until(lambda: settled(live) and not uids(live) & before, "all pods are new", 120)
    live.figures["requests while a release rolled out"] = f"{load.report.requests}, {load.report.failed} failed"
    assert load.report.failed == 0, (load.report.codes, load.report.errors[:3])


def test_a_new_setting_loses_no_request(live: Live) -> None:
    before = uids(live)
    with live.load("setting", rate=RATE) as load:
        live.project.configure(lambda config: config["churn:api"].update(log_requests=False))
        changed = live.up().changes
        wait_until(lambda: settled(live) and not uids(live) & before, "all pods are new", 120)
    assert {step.name for step in changed} == {"api-deployment"}
    live.figures["requests while a setting rolled out"] = f"{load.report.requests}, {load.report.failed} failed"
    assert load.report.failed == 0, (load.report.codes, load.report.errors[:3])


def eviction(pod: Json) -> Json:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    return {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
    }


def evict(live: Live, pod: Json) -> bool:
    """Evict a pod as `kubectl drain` does; False if the budget forbids it now."""
    path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}/eviction"
    answer = live.kubectl.attempt("create", "--raw", path, "-f", "-", single=eviction(pod))
    assert answer.ok or "disruption budget" in answer.err, answer.err
    return answer.ok


def test_a_drain_takes_no_more_than_the_budget_allows(live: Live) -> None:
    wait_until(lambda: settled(live), "the API is settled", 120)
    pods = live.ready(API)[:2]
    with live.load("drain", rate=RATE) as load:
        assert evict(live, pods[0])
        assert not evict(live, pods[1])  # the other one has to stay until there is a third
        seconds_until(lambda: evict(live, pods[1]), "the second may go once a new one is Ready", 120)
        wait_until(
            lambda: settled(live) and not uids(live) & {pod["metadata"]["uid"] for pod in pods}, "both are new", 120
        )
        assert all(map(is_ready, live.pods(API)))
    live.figures["requests while both pods were evicted"] = f"{load.report.requests}, {load.report.failed} failed"
    assert load.report.failed == 0, (load.report.codes, load.report.errors[:3])
