"""The edge, with a real nginx: TLS, routes by host, redirects, and limits of routes."""

from __future__ import annotations

import base64
from collections import Counter

import httpx
import pytest
from support.live import Live
from support.servers import DOMAIN, wait_until
from support.telco import EXAMPLE

from infra.naming import API
from infra.workloads.ingress_problems import MEDIA_TYPE, RATE_SECONDS

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]

SLOW = 5
"""Requests a second, for the test of the limit."""


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_each_host_leads_to_its_workload(live: Live) -> None:
    model = live.ask("GET", "api", "/v1/model", headers=live.key)
    mlflow = live.ask(
        "GET",
        "mlflow",
        "/api/2.0/mlflow/registered-models/get?name=churn",
        headers=basic("admin", live.outputs["mlflow_password"]),
    )
    grafana = live.ask("GET", "grafana", "/api/search", headers=basic("admin", live.outputs["grafana_password"]))
    assert (model.status_code, mlflow.status_code, grafana.status_code) == (200, 200, 200), mlflow.text
    assert mlflow.json()["registered_model"]["name"] == "churn"
    assert len(grafana.json()) == 4


@pytest.mark.parametrize("host", ["mlflow", "grafana"])
def test_nobody_gets_in_without_a_login(live: Live, host: str) -> None:
    path = {"mlflow": "/api/2.0/mlflow/experiments/get?experiment_id=0", "grafana": "/api/search"}[host]
    assert live.ask("GET", host, path).status_code == httpx.codes.UNAUTHORIZED


@pytest.mark.parametrize("host", ["api", "mlflow", "grafana"])
def test_http_is_sent_to_https(live: Live, host: str) -> None:
    answer = live.ask("POST", host, "/v1/predict?x=1", scheme="http")
    assert answer.status_code == httpx.codes.PERMANENT_REDIRECT
    # NGINX names the port on which it listens (nginx/kubernetes-ingress, `nginx.ingress.tmpl`).
    assert answer.headers["location"] == f"https://{host}.{DOMAIN}:443/v1/predict?x=1"
    assert (
        live.ask("GET", host, "/", scheme="https").headers["strict-transport-security"].startswith("max-age=31536000")
    )


def test_internal_paths_have_no_route(live: Live) -> None:
    for path in ("/metrics", "/ready", "/live", "/v1/../metrics"):
        assert live.ask("GET", "api", path).status_code == httpx.codes.NOT_FOUND, path
    assert live.ask("GET", "prometheus", "/").status_code == httpx.codes.NOT_FOUND


def test_a_body_that_is_too_large_is_refused(live: Live) -> None:
    answer = live.ask("POST", "api", "/v1/predict", content=b"x" * (3 * 2**20), headers=live.key)
    assert answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json()["code"] == "body-too-large"
    assert "2 MiB" in answer.json()["detail"]
    assert answer.headers["strict-transport-security"].startswith("max-age=31536000")


def test_a_path_without_a_route_is_a_problem_document(live: Live) -> None:
    answer = live.ask("GET", "api", "/metrics", headers={"X-Request-ID": "from-a-client"})
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert (answer.json()["status"], answer.json()["request_id"]) == (404, "from-a-client")


def test_one_client_gets_no_more_than_its_rate(live: Live) -> None:
    usual = "client_requests_per_second"

    def set_rate(rate: int) -> None:
        live.project.configure(lambda config: config["churn:ingress"].update({usual: rate}))
        changed = live.up().changes
        assert {step.name for step in changed} == {"routes-api", "routes-mlflow", "routes-grafana"}

    def burst() -> Counter[int]:
        return Counter(
            live.ask("POST", "api", "/v1/predict", json=dict(EXAMPLE), headers=live.key).status_code for _ in range(40)
        )

    def refused() -> bool:
        """Whether there was a refusal, which must say in JSON when to try again."""
        for _ in range(40):
            answer = live.ask("POST", "api", "/v1/predict", json=dict(EXAMPLE), headers=live.key)
            if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
                assert answer.headers["content-type"] == MEDIA_TYPE
                assert answer.headers["retry-after"] == str(RATE_SECONDS)
                return True
        return False

    before = live.object("ingress", API)["metadata"]["annotations"]["nginx.org/limit-req-rate"]
    set_rate(SLOW)
    try:
        wait_until(lambda: burst()[429] > 0, "the new rate is in force", 30)
        assert set(burst()) <= {200, 429}
        wait_until(refused, "a request is refused", 30)
    finally:
        set_rate(int(before.removesuffix("r/s")))
    wait_until(lambda: burst() == {200: 40}, "the old rate is in force", 30)
