"""The procedures of docs/dr.md for a lost database and lost artifacts, word by word, while predictions go on.

The passwords were changed after the backup, by the tests before this one.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support import procedures
from support.live import Live
from support.live_procedures import desk_with_churn, environment, follow
from support.load import Load
from support.servers import DOMAIN, wait_until

from infra import naming as n
from infra.workloads import mlflow

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(3600),
    pytest.mark.long(seconds=240, together="restore"),
]

RATE = 20
UNAUTHORIZED = httpx.codes.UNAUTHORIZED


@pytest.fixture(scope="module")
def traffic(live: Live) -> Iterator[Load]:
    """Predictions from before the first procedure until after the last one; none may fail."""
    with live.load("restore", rate=RATE) as load:
        yield load
    live.figures["requests while databases and artifacts were restored"] = (
        f"{load.report.requests}, {load.report.failed} failed"
    )
    assert load.report.failed == 0, (load.report.codes, load.report.errors[:3])


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with the command `churn`."""
    return desk_with_churn(tmp_path)


def status(live: Live, workload: n.Workload, path: str, password: str) -> int:
    with live.forwarded(workload) as url:
        return httpx.get(url + path, auth=("admin", password), timeout=30, trust_env=False).status_code


def reaches_the_registry(live: Live) -> bool:
    with live.forwarded(n.API) as url:
        return 'churn_registry_up{model="churn"} 1.0' in httpx.get(f"{url}/metrics", timeout=30, trust_env=False).text


MLFLOW_MODEL = "/api/2.0/mlflow/registered-models/get?name=churn"
GRAFANA_SEARCH = "/api/search"


def test_a_lost_database_comes_back_with_all_its_data_and_todays_passwords(
    live: Live, traffic: Load, tools: Path
) -> None:
    del traffic  # it only has to run
    production = "SELECT version FROM registered_model_aliases WHERE (name, alias) = ('churn', 'production')"
    old_claim = live.object("persistentvolumeclaim", n.POSTGRES, "data-postgres-0")
    follow(live, "Database lost", tools)
    claim = live.object("persistentvolumeclaim", n.POSTGRES, "data-postgres-0")
    assert claim["metadata"]["uid"] != old_claim["metadata"]["uid"], "it is another volume"
    assert claim["spec"]["resources"] == old_claim["spec"]["resources"], "of the same size"
    assert live.sql(production) == "1"
    # Passwords were replaced since the backup; those of now are in force, without a further step.
    assert status(live, n.MLFLOW, MLFLOW_MODEL, live.outputs["mlflow_password"]) == httpx.codes.OK
    assert status(live, n.MLFLOW, MLFLOW_MODEL, "not-the-password") == UNAUTHORIZED
    assert status(live, n.GRAFANA, GRAFANA_SEARCH, live.outputs["grafana_password"]) == httpx.codes.OK
    wait_until(lambda: reaches_the_registry(live), "the API logs in to the registry", 90)
    assert live.predict().json()["model_version"] == "1"


def test_the_next_up_changes_nothing_but_what_was_stopped_by_hand(live: Live) -> None:
    live.up(refresh=True)
    assert live.up().changes == []


def test_lost_artifacts_come_back_and_new_pods_serve_from_them(live: Live, traffic: Load, tools: Path) -> None:
    del traffic
    live.run(n.MLFLOW, "sh", "-c", f"find {mlflow.ARTIFACTS} -name model.onnx -delete")
    printed = follow(live, "Artifacts lost", tools)
    assert "files in /var/lib/artifacts, compared" in printed
    assert "what was there before is in" in printed
    for pod in live.ready(n.API):  # one after the other, each with an empty disk: it has to download the model
        live.kubectl.run("delete", "pod", pod["metadata"]["name"], "--namespace", n.SERVING, "--wait=true")
        wait_until(lambda: len(live.ready(n.API)) >= 2, "the new pod is Ready", 180)
    assert live.predict().json()["model_version"] == "1"


def test_the_new_edge_answers_by_its_names_before_they_move(live: Live, tools: Path) -> None:
    """The look of "Region lost" at an edge whose names still lead elsewhere."""
    edge = live.addresses["https"]
    lines = [line for line in procedures.commands("Region lost", "bash").splitlines() if line.strip()]
    assert lines[0].strip().startswith("kubectl -n churn-ingress get service ingress")
    variables = {"CERTIFICATE": str(live.certificate), "DOMAIN": DOMAIN, "EDGE": edge}
    follow(live, "Region lost", tools, **variables)


def test_a_second_restore_refuses_what_is_there(live: Live, tools: Path) -> None:
    command = [str(tools / "churn"), "cluster", "restore", "databases"]
    done = subprocess.run(command, env=environment(live, tools), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "use --replace to put the backup in its place" in done.stdout
    assert live.predict().status_code == httpx.codes.OK
