"""MLflow's interface in a browser: through the edge's node port, and through the port-forward that `churn` prints."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import pytest
from support.live import Live
from support.mlflow_ui import search_runs, stack_browser
from support.servers import DOMAIN, require_tool

from infra.naming import INGRESS

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]

SEARCH = "/ajax-api/2.0/mlflow/runs/search"


def login(live: Live) -> httpx.BasicAuth:
    return httpx.BasicAuth("admin", live.outputs["mlflow_password"])


def create(live: Live, name: str) -> None:
    """Create a run of the default experiment."""
    body = {"experiment_id": "0", "run_name": name}
    answer = live.ask("POST", "mlflow", "/api/2.0/mlflow/runs/create", json=body, auth=login(live))
    assert answer.status_code == httpx.codes.OK, answer.text


@pytest.mark.parametrize("port", ["", ":443", ":8443"])
def test_its_pages_may_change_things_at_every_port(live: Live, port: str) -> None:
    host = f"mlflow.{DOMAIN}{port}"
    headers = {"Host": host, "Origin": f"https://{host}"}
    answer = live.ask("POST", "mlflow", SEARCH, headers=headers, json={"experiment_ids": ["0"]}, auth=login(live))
    assert answer.status_code == httpx.codes.OK, answer.text


def test_pages_of_another_site_may_not(live: Live) -> None:
    headers = {"Origin": "https://evil.example.com:8443"}
    answer = live.ask("POST", "mlflow", SEARCH, headers=headers, json={"experiment_ids": ["0"]}, auth=login(live))
    assert answer.status_code == httpx.codes.FORBIDDEN


def test_a_browser_finds_runs_through_the_edge(live: Live) -> None:
    require_tool("chromedriver")
    create(live, "through-the-edge")
    port = int(live.addresses["https"].rpartition(":")[2])
    with stack_browser() as window:
        search_runs(window, port, live.outputs["mlflow_password"], experiment="0", shows="through-the-edge")


def test_a_browser_finds_runs_through_a_forwarded_port(live: Live) -> None:
    require_tool("chromedriver")
    create(live, "through-a-forwarded-port")
    with live.forwarded(INGRESS, "https") as url, stack_browser() as window:
        port = urlsplit(url).port or 0
        search_runs(window, port, live.outputs["mlflow_password"], experiment="0", shows="through-a-forwarded-port")
