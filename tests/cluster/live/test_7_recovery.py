"""Each pod is deleted in turn: it comes back with its data, and predictions go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from support.live import Live, seconds_until
from support.load import Load

from infra import naming as n
from infra.naming import Workload

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]

RATE = 50
WITHIN = 300
SILENCE = {
    "matchers": [{"name": "alertname", "value": "Kept", "isRegex": False, "isEqual": True}],
    "startsAt": "2026-01-01T00:00:00Z",
    "endsAt": "2100-01-01T00:00:00Z",
    "createdBy": "test",
    "comment": "is there after a restart",
}


@dataclass
class Contents:
    """The data of each workload, and in ``known`` what it was before any pod was deleted."""

    live: Live
    began: float = field(default_factory=time.time)
    known: dict[str, Any] = field(default_factory=dict)

    def runs(self) -> str:
        return self.live.sql("SELECT count(*), max(start_time) FROM runs")

    def model(self) -> dict[str, Any]:
        admin = ("admin", self.live.outputs["mlflow_password"])
        path = "/api/2.0/mlflow/registered-models/alias?name=churn&alias=production"
        with self.live.forwarded(n.MLFLOW) as url:
            answer: dict[str, Any] = httpx.get(url + path, auth=admin, timeout=30, trust_env=False).json()
        version = answer["model_version"]
        return {key: version[key] for key in ("version", "run_id", "source", "creation_timestamp")}

    def sample(self) -> float | None:
        """A sample that Prometheus took before any pod was deleted; the maximum, since one pod may just have moved."""
        return self.live.metric('max(up{job="api"})', time=str(self.began))

    def silences(self) -> list[str]:
        with self.live.forwarded(n.ALERTMANAGER) as url:
            answer = httpx.get(f"{url}/api/v2/silences", timeout=30, trust_env=False).json()
        return [item["id"] for item in answer if item["status"]["state"] == "active"]

    def annotations(self) -> list[str]:
        login = ("admin", self.live.outputs["grafana_password"])
        with self.live.forwarded(n.GRAFANA) as url:
            answer = httpx.get(f"{url}/api/annotations", auth=login, timeout=30, trust_env=False).json()
        return [item["text"] for item in answer]


@pytest.fixture(scope="module")
def contents(live: Live) -> Contents:
    """Data in each workload that stores any."""
    present = Contents(live)
    with live.forwarded(n.ALERTMANAGER) as url:
        httpx.post(f"{url}/api/v2/silences", json=SILENCE, timeout=30, trust_env=False).raise_for_status()
    login = ("admin", live.outputs["grafana_password"])
    with live.forwarded(n.GRAFANA) as url:
        note = {"text": "kept"}
        httpx.post(f"{url}/api/annotations", json=note, auth=login, timeout=30, trust_env=False).raise_for_status()
    for name in ("runs", "model", "sample", "silences", "annotations"):
        present.known[name] = getattr(present, name)()
    assert present.known["sample"] == 1
    assert present.known["silences"]
    assert present.known["annotations"] == ["kept"]
    return present


@pytest.fixture(scope="module")
def traffic(live: Live, contents: Contents) -> Iterator[Load]:  # noqa: ARG001 -- the data must exist before
    """Predictions during all tests of this file; none may fail."""
    with live.load("recovery", rate=RATE) as load:
        yield load
    live.figures["requests while each pod was deleted"] = f"{load.report.requests}, {load.report.failed} failed"
    assert load.report.failed == 0, (load.report.codes, load.report.errors[:3])


def delete_each(live: Live, workload: Workload) -> float:
    """Delete a workload's pods one after another; returns the longest time until a new one was Ready."""
    longest = 0.0
    for pod in live.ready(workload):
        old, count = pod["metadata"], len(live.ready(workload))

        def back(old: dict[str, Any] = old, count: int = count) -> bool:
            ready = {item["metadata"]["uid"] for item in live.ready(workload)}
            return old["uid"] not in ready and len(ready) >= count

        live.kubectl.run("delete", "pod", old["name"], "--namespace", workload.namespace, "--wait=false")
        longest = max(longest, seconds_until(back, f"{workload.name} is Ready again", WITHIN))
    return longest


CASES: list[tuple[Workload, str]] = [
    (n.API, "model"),
    (n.MLFLOW, "model"),
    (n.POSTGRES, "runs"),
    (n.PROMETHEUS, "sample"),
    (n.ALERTMANAGER, "silences"),
    (n.GRAFANA, "annotations"),
]


@pytest.mark.parametrize(("workload", "data"), CASES, ids=lambda case: getattr(case, "name", case))
def test_a_deleted_pod_comes_back_with_its_data(
    live: Live, contents: Contents, traffic: Load, workload: Workload, data: str
) -> None:
    del traffic  # it only has to run
    seconds = delete_each(live, workload)
    live.figures.setdefault("a deleted pod is Ready again after, s", {})[workload.name] = round(seconds)
    look: Callable[[], Any] = getattr(contents, data)
    assert look() == contents.known[data]
    assert live.predict().status_code == httpx.codes.OK


def test_mlflow_works_on_after_its_database_came_back(live: Live, contents: Contents, traffic: Load) -> None:
    del traffic
    assert contents.model() == contents.known["model"]
    assert live.sql("SELECT pg_is_in_recovery()", database="postgres") == "f"
