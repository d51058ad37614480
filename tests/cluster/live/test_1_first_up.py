"""From an empty cluster, one command: everything is Ready, the first model is trained, and predictions are answered."""

from __future__ import annotations

import httpx
import pytest
from support.live import Live, is_ready
from support.telco import EXAMPLE

from infra.naming import API, MLOPS

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]


def test_it_came_up_by_what_its_document_says(live: Live) -> None:
    own = [line for line in live.typed if line.startswith(("pulumi", ".venv"))]
    assert own == [
        "pulumi stack init dev",
        "pulumi preview -s dev",
        "pulumi up -s dev",
        ".venv/bin/churn cluster wait",
        "pulumi stack output -s dev --show-secrets",
    ]


def test_every_pod_is_ready_and_every_job_complete(live: Live) -> None:
    lasting = [pod for pod in live.everything() if pod["status"]["phase"] != "Succeeded"]
    assert [pod["metadata"]["name"] for pod in lasting if not is_ready(pod)] == []
    # At some hours a schedule starts a job at the same time.
    jobs = [job for job in live.kubectl.get("jobs", namespace=MLOPS) if "ownerReferences" not in job["metadata"]]
    assert {job["metadata"]["labels"]["app.kubernetes.io/name"] for job in jobs} == {"mlflow-migrate", "training"}
    assert [job["metadata"]["name"] for job in jobs if not job["status"].get("succeeded")] == []
    live.figures["from an empty cluster to everything Ready, s"] = round(live.seconds)
    live.figures["slowest steps of it, s"] = {
        f"{wait.kind} {wait.name}": round(wait.seconds)
        for wait in sorted(live.project.cluster.waits, key=lambda wait: -wait.seconds)[:3]
    }


def test_the_first_model_is_registered_in_mlflow_on_postgres(live: Live) -> None:
    rows = live.sql("SELECT alias, version FROM registered_model_aliases WHERE name = 'churn' ORDER BY alias")
    assert rows.split() == ["production|1"]


def test_the_api_came_after_it_and_loaded_it_without_a_restart(live: Live) -> None:
    (training,) = (
        job
        for job in live.kubectl.get("jobs", namespace=MLOPS)
        if job["metadata"]["labels"]["app.kubernetes.io/name"] == "training"
    )
    for pod in live.ready(API):
        (status,) = pod["status"]["containerStatuses"]
        assert status["restartCount"] == 0
        # Both are RFC 3339 in UTC and of one form, so texts compare like times.
        assert status["state"]["running"]["startedAt"] >= training["status"]["completionTime"]


def test_a_prediction_through_tls_with_a_key(live: Live) -> None:
    answer = live.predict()
    assert answer.status_code == httpx.codes.OK, answer.text
    body = answer.json()
    assert 0 < body["churn_probability"] < 1
    assert body["model_version"] == "1"


def test_no_prediction_without_a_key_or_with_a_wrong_one(live: Live) -> None:
    without = live.ask("POST", "api", "/v1/predict", json=dict(EXAMPLE))
    wrong = live.ask("POST", "api", "/v1/predict", json=dict(EXAMPLE), headers={"X-API-Key": "local.wrong"})
    assert (without.status_code, wrong.status_code) == (401, 401)
