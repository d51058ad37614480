"""MLflow as its pods run it, on a real PostgreSQL 15: logins, names, rights, connections, removal."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from mlflow import MlflowClient
from support.edge import Edge, running_edge
from support.mlflow_pods import MARKS, PASSWORDS, Tracking, pod_command
from support.mlflow_ui import search_runs, stack_browser
from support.postgres import Postgres
from support.servers import DOMAIN, HOST, require_tool

from app.registry import Registry
from app.settings import Settings
from infra.connections import POOLS
from infra.naming import MLFLOW
from infra.workloads.mlflow import allowed_hosts
from infra.workloads.mlflow_jobs import DATABASE_URI
from training import registry
from training.config import TrainConfig
from training.generate import write
from training.train import train
from training.truth import GeneratorConfig

pytestmark = MARKS
SELDOM = pytest.mark.long(seconds=25, together=__name__)

EXPERIMENTS = "/api/2.0/mlflow/experiments"
MODELS = "/api/2.0/mlflow/registered-models"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture(scope="module")
def tracking(migrated: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    with Tracking(migrated, tmp_path_factory.mktemp("tracking")) as server:
        yield server
        assert server.stop() == 0, "asked to stop, it did not end well"


@pytest.fixture(scope="module")
def edge(tracking: Tracking, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """The server as people reach it: through a real nginx."""
    with running_edge(tmp_path_factory.mktemp("edge"), {MLFLOW: f"{HOST}:{tracking.port}"}) as running:
        yield running


def as_user(patch: pytest.MonkeyPatch, user: str) -> None:
    patch.setenv("MLFLOW_TRACKING_USERNAME", user)
    patch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORDS[user])


@pytest.fixture(scope="module")
def trained(tracking: Tracking, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The version that the user `training` trained and put into production."""
    data = tmp_path_factory.mktemp("data") / "customers.parquet"
    write(GeneratorConfig(rows=2000, seed=5), data)
    config = TrainConfig(source=str(data), tracking_uri=tracking.url, model_name="churn", bootstrap_count=100)
    with pytest.MonkeyPatch.context() as patch:
        as_user(patch, "training")
        train(config)
        return str(registry.promote(tracking.url, "churn", actor="training").to_version)


def test_the_pods_first_process_is_the_server(tracking: Tracking) -> None:
    command = Path(f"/proc/{tracking.process.pid}/cmdline").read_bytes().split(b"\0")
    assert b"mlflow" in command
    assert not [part for part in command if PASSWORDS["admin"].encode() in part]


@pytest.mark.parametrize("host", [host.replace("*", "12345") for host in allowed_hosts(DOMAIN)])
def test_every_name_of_the_server_is_answered(tracking: Tracking, host: str) -> None:
    assert tracking.call("GET", f"{EXPERIMENTS}/get?experiment_id=0", "api", host=host).status_code == 200


@pytest.mark.parametrize("host", ["evil.example.com", "mlflow:5001", "mlflow.churn-mlops.svc.evil.example.com"])
def test_any_other_name_is_refused_except_for_health(tracking: Tracking, host: str) -> None:
    assert tracking.call("GET", f"{EXPERIMENTS}/get?experiment_id=0", "admin", host=host).status_code == 403
    assert tracking.call("GET", "/health", None, host=host).status_code == 200


SEARCH = "/ajax-api/2.0/mlflow/runs/search"
OUTSIDE = f"mlflow.{DOMAIN}"


def search(edge: Edge, host: str, origin: str) -> httpx.Response:
    """Search for runs as a page of this origin does, under this name of the server."""
    headers = {"Host": host, "Origin": origin}
    auth = ("admin", PASSWORDS["admin"])
    return edge.ask("mlflow", SEARCH, "POST", headers=headers, auth=auth, json={"experiment_ids": ["0"]})


@pytest.mark.parametrize("port", ["", ":443", ":8443", ":31234"])
@pytest.mark.parametrize("host", [OUTSIDE, OUTSIDE.upper(), f"{OUTSIDE}."])
def test_the_interface_may_change_things_under_every_name_and_port(edge: Edge, host: str, port: str) -> None:
    # A browser writes the origin in lower case, whatever was typed.
    answer = search(edge, f"{host}{port}", f"https://{host.lower()}{port}")
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example.com",
        f"https://{OUTSIDE}.evil.example.com",
        f"https://{OUTSIDE}.evil.example.com:8443",
        f"http://{OUTSIDE}",
        "null",
    ],
)
def test_a_page_of_another_site_may_not(edge: Edge, origin: str) -> None:
    assert search(edge, OUTSIDE, origin).status_code == 403


@SELDOM
def test_the_interface_shows_runs_in_a_browser(tracking: Tracking, edge: Edge) -> None:
    require_tool("chromedriver")
    body = {"experiment_id": "0", "run_name": "seen-in-a-browser"}
    assert tracking.call("POST", "/api/2.0/mlflow/runs/create", "admin", body).status_code == 200
    with stack_browser() as window:
        search_runs(window, edge.port, PASSWORDS["admin"], experiment="0", shows="seen-in-a-browser")


def test_nobody_gets_in_without_a_login(tracking: Tracking) -> None:
    path = f"{EXPERIMENTS}/get?experiment_id=0"
    assert tracking.call("GET", path, None).status_code == 401
    assert httpx.get(tracking.url + path, auth=("admin", "wrong"), trust_env=False).status_code == 401


def test_the_api_reads_what_training_put_into_production(tracking: Tracking, trained: str, tmp_path: Path) -> None:
    login = tracking.admin.parent / "mlflow-api"
    settings = Settings(mlflow_tracking_uri=tracking.url, mlflow_credentials_dir=login, auth="off")

    async def fetch() -> str:
        client = Registry(settings, settings.model_names[0])
        registered = await client.resolve()
        await client.download(registered, tmp_path)
        await client.close()
        return registered.version

    assert asyncio.run(fetch()) == trained
    assert (tmp_path / "manifest.json").is_file()


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{EXPERIMENTS}/create", {"name": "mine"}),
        ("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": "0"}),
        ("POST", f"{MODELS}/create", {"name": "mine"}),
        ("POST", f"{MODELS}/alias", {"name": "churn", "alias": "production", "version": "1"}),
        ("DELETE", f"{MODELS}/alias", {"name": "churn", "alias": "production"}),
        ("DELETE", f"{MODELS}/delete", {"name": "churn"}),
        ("PUT", f"{ARTIFACTS}/0/x/artifacts/model.onnx", {}),
        ("PATCH", "/api/2.0/mlflow/users/update-password", {"username": "api", "password": "my-own-password"}),
    ],
)
def test_the_api_writes_nothing(tracking: Tracking, method: str, path: str, body: object) -> None:
    assert tracking.call(method, path, "api", body).status_code == 403


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/2.0/mlflow/users/create", {"username": "mine", "password": "my-own-password"}),
        ("PATCH", "/api/2.0/mlflow/users/update-admin", {"username": "training", "is_admin": True}),
        ("DELETE", "/api/2.0/mlflow/users/delete", {"username": "api"}),
    ],
)
def test_training_does_not_manage_users(tracking: Tracking, method: str, path: str, body: object) -> None:
    assert tracking.call(method, path, "training", body).status_code == 403


def test_training_may_move_a_model_that_somebody_else_made(tracking: Tracking) -> None:
    answer = tracking.call("POST", f"{MODELS}/create", "admin", {"name": "other"})
    assert answer.status_code == 200
    tag = {"name": "other", "key": "k", "value": "v"}
    assert tracking.call("POST", f"{MODELS}/set-tag", "training", tag).status_code == 403
    assert tracking.call("POST", f"{MODELS}/set-tag", "training", tag | {"name": "churn"}).status_code in {200, 404}


def test_the_page_may_be_used_at_its_own_address_only(tracking: Tracking) -> None:
    def search(origin: str) -> int:
        return httpx.post(
            f"{tracking.url}{EXPERIMENTS}/search", json={"max_results": 1}, headers={"Origin": origin},
            auth=("admin", PASSWORDS["admin"]), trust_env=False,
        ).status_code  # fmt: skip

    assert search(f"https://mlflow.{DOMAIN}") == 200
    assert search("https://evil.example.com") == 403


def test_under_load_the_connections_stay_within_the_pools(tracking: Tracking, migrated: Postgres) -> None:
    server = psutil.Process(tracking.process.pid)

    def held() -> int:
        """At the client: the server lists a connection until its process has ended, a little after the close."""
        ends = [end for one in [server, *server.children(recursive=True)] for end in one.net_connections("tcp")]
        return sum(bool(end.raddr) and end.raddr.port == migrated.port and end.status == "ESTABLISHED" for end in ends)

    body = {"max_results": 100, "experiment_ids": ["0"]}

    def ask(number: int) -> int:
        if number % 10 == 0:
            return held()
        paths = (f"{EXPERIMENTS}/search", "/api/2.0/mlflow/runs/search")
        assert tracking.call("POST", paths[number % 2], "admin", body).status_code == 200
        return 0

    with ThreadPoolExecutor(32) as pool:
        most = max(pool.map(ask, range(120)))
    assert 3 < most <= POOLS[MLFLOW.name].most


def gc(tracking: Tracking, *options: str) -> subprocess.CompletedProcess[str]:
    command = pod_command("gc", "--backend-store-uri", DATABASE_URI, "--tracking-uri", tracking.url, *options)
    return subprocess.run(command, env=tracking.environment, capture_output=True, text=True, check=False)


@SELDOM
def test_removal_takes_a_deleted_run_and_its_artifacts(
    tracking: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, "training")
    client = MlflowClient(tracking.url)
    experiment = client.create_experiment("removal")
    runs = [client.create_run(experiment).info.run_id for _ in range(2)]
    (tmp_path / "file.txt").write_text("x")
    for run in runs:
        client.log_artifact(run, str(tmp_path / "file.txt"))
    client.delete_run(runs[0])
    folder = tracking.log.parent / "artifacts" / experiment
    assert (folder / runs[0] / "artifacts" / "file.txt").is_file()
    done = gc(tracking, "--older-than", "0s")
    assert done.returncode == 0, done.stderr
    assert not (folder / runs[0] / "artifacts" / "file.txt").exists()
    assert (folder / runs[1] / "artifacts" / "file.txt").is_file()
