"""Every panel of every dashboard, over two minutes of traffic and a live Prometheus with the rules of the platform."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from support.bundles import make_bundle, random_customers
from support.servers import HOST, Api, wait_until
from support.watched import watched

import dashboards
from infra import naming as n
from infra.rules_files import rule_files
from ops.stack.dashboard_preview import draw
from ops.stack.dashboard_queries import PanelQueries

pytestmark = [
    pytest.mark.service,
    pytest.mark.timeout(600),
    pytest.mark.long(seconds=60, together=__name__),
]
TRAFFIC_SECONDS = 120
CLUSTER = "a cluster's kubelets and exporters tell of it, of which there are none here"
EMPTY = {
    ("api", "Prediction cache"): "there is no cache without Redis",
    ("business", "Cost of 1,000 predictions"): CLUSTER,
    ("business", "Cost of a month"): CLUSTER,
    ("business", "Cost by namespace"): CLUSTER,
    ("infrastructure", "Restarts"): CLUSTER,
    ("infrastructure", "Nodes"): CLUSTER,
    ("infrastructure", "API replicas"): CLUSTER,
    ("infrastructure", "Processor time by pod"): CLUSTER,
    ("infrastructure", "Memory by pod"): CLUSTER,
    ("infrastructure", "Volumes"): CLUSTER,
    ("infrastructure", "Processor by node"): CLUSTER,
    ("infrastructure", "Memory by node"): CLUSTER,
    ("infrastructure", "Disks by node"): CLUSTER,
    ("infrastructure", "Connections of PostgreSQL"): CLUSTER,
    ("infrastructure", "Transactions of PostgreSQL"): CLUSTER,
    ("infrastructure", "Longest transaction of PostgreSQL"): CLUSTER,
    ("infrastructure", "Time since scheduled work last succeeded"): CLUSTER,
    ("infrastructure", "Jobs that run"): CLUSTER,
    ("infrastructure", "Certificate of the edge"): CLUSTER,
    ("infrastructure", "Time of the probe"): CLUSTER,
    ("infrastructure", "Killed for their memory"): CLUSTER,
    ("infrastructure", "Throttled"): CLUSTER,
    ("infrastructure", "Quotas"): CLUSTER,
    ("infrastructure", "Size of a backup"): CLUSTER,
    ("infrastructure", "New bytes of a backup"): CLUSTER,
    ("infrastructure", "Space for backups"): CLUSTER,
    ("infrastructure", "Compactor halted"): CLUSTER,
    ("infrastructure", "Blocks uploaded"): CLUSTER,
}
"""Panels that may be empty here, and why."""


def _ask(api: Api, stop: threading.Event) -> None:
    customers = random_customers(60, seed=3)
    with httpx.Client(base_url=api.url, trust_env=False, timeout=10) as client:
        while not stop.wait(0.1):
            client.post("/v1/predict", json=customers[0])
            client.post("/v1/predict", json={})
            client.post("/v1/predict/batch", json={"customers": customers})


def test_every_panel_returns_data_and_every_dashboard_can_be_drawn(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    make_bundle(bundle)
    rules = rule_files([n.API, n.PROMETHEUS, n.ALERTMANAGER, n.KUBE_STATE_METRICS])
    stop = threading.Event()
    with Api(tmp_path / "api", model_source=bundle) as api:
        traffic = threading.Thread(target=_ask, args=(api, stop), daemon=True)
        traffic.start()
        try:
            with watched(tmp_path / "watched", {"api": f"{HOST}:{api.port}"}, rules=rules, speed=3) as platform:
                began = time.monotonic()
                wait_until(lambda: time.monotonic() - began > TRAFFIC_SECONDS, "traffic", TRAFFIC_SECONDS + 10)
                queries = PanelQueries(platform.prometheus.url, minutes=2)
                empty, known = set(), set()
                for name, page in dashboards.every().items():
                    variables = [v["name"] for v in page["templating"]["list"] if v["type"] == "query"]
                    for panel in page["panels"]:
                        if panel["type"] != "row":
                            known.add((name, panel["title"]))
                            if not queries.fetch(panel, variables).series:
                                empty.add((name, panel["title"]))
                pages = dashboards.every()
                pictures = [tmp_path / f"{name}.png" for name in pages]
                for page, picture in zip(pages.values(), pictures, strict=True):
                    draw(page, queries, picture)
        finally:
            stop.set()
            traffic.join()
    record_property("empty", sorted(empty))
    assert EMPTY.keys() <= known, "a panel of the list is gone"
    assert sorted(empty - EMPTY.keys()) == []
    assert [picture.read_bytes()[:4] for picture in pictures] == [b"\x89PNG"] * 4
