"""The training job of the cluster, run as its pod runs it, against a real MLflow that asks for a login."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from mlflow import MlflowClient
from support.paths import ROOT
from support.pushing import Pushgateway
from support.servers import Mlflow

from ops.plain_http import NO_TLS
from training.generate import GeneratorConfig, write

pytestmark = [pytest.mark.service, pytest.mark.long(seconds=90, together=__name__)]

ADMIN: Final = ("admin", "a-password-of-the-test")
TRAINER: Final = ("training", "another-password-of-the-test")


class MlflowWithLogin(Mlflow):
    """MLflow with its basic auth, as the stacks have it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._command += ["--app-name", "basic-auth"]
        configuration = folder / "auth.ini"
        configuration.write_text(
            "[mlflow]\ndefault_permission = READ\n"
            f"database_uri = sqlite:///{folder / 'auth.db'}\nadmin_username = {ADMIN[0]}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
            # As in the stacks: without it each of a run's hundred requests waits for a password to be hashed.
            "auth_cache_ttl_seconds = 60\n"
        )
        self._environment |= {
            "MLFLOW_AUTH_CONFIG_PATH": str(configuration),
            "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "a-key-of-the-test",
        }


class TrainingGateway(Pushgateway):
    """Shows what training pushed, as the pushgateway would: in each group of each metric the last value."""

    def metrics_of(self, model: str) -> dict[str, float]:
        """The figures in the group of a model."""
        return {
            name.removeprefix("churn_training_") + "".join(f"{{{value}}}" for value in labels): value_of
            for push in self.pushes
            if push.path == f"/metrics/job/training/model/{model}"
            for (name, labels), value_of in push.samples.items()
        }

    @property
    def metrics(self) -> dict[str, float]:
        return self.metrics_of("churn")


def post(url: str, path: str, body: dict[str, str], login: tuple[str, str]) -> None:
    answer = httpx.post(f"{url}/api/2.0/mlflow/{path}", json=body, auth=login, trust_env=False, verify=NO_TLS)
    assert answer.is_success, answer.text


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with MlflowWithLogin(tmp_path_factory.mktemp("mlflow")) as server:
        # As the migration leaves a stack: an ordinary user, and an empty model that is the user's to manage.
        post(server.url, "users/create", {"username": TRAINER[0], "password": TRAINER[1]}, ADMIN)
        for model in ("churn", "bank"):
            post(server.url, "registered-models/create", {"name": model}, TRAINER)
        yield server.url


@pytest.fixture(scope="module")
def gateway() -> Iterator[TrainingGateway]:
    with TrainingGateway() as running:
        yield running


@pytest.fixture
def login(tmp_path: Path) -> Path:
    return login_files(tmp_path)


def login_files(parent: Path) -> Path:
    """The login as it is mounted into the pod."""
    folder = parent / "login"
    folder.mkdir()
    for name, value in zip(("username", "password"), TRAINER, strict=True):
        (folder / name).write_text(value + "\n")
    return folder


def retrain(mlflow: str, gateway: TrainingGateway, login: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(login.parent),
        "OMP_NUM_THREADS": "1",
        "CHURN_ACTOR": "training",
        "MLFLOW_TRACKING_URI": mlflow,
        "MLFLOW_CREDENTIALS_DIR": str(login),
        "PUSHGATEWAY_URL": gateway.url,
    }
    return subprocess.run(
        [sys.executable, "-m", "ops.jobs.retrain", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def first(mlflow: str, gateway: TrainingGateway, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the first run of a stack printed: trained on generated customers, by an ordinary user, and promoted."""
    login = login_files(tmp_path_factory.mktemp("first"))
    done = retrain(mlflow, gateway, login, "--rows", "3000", "--data-seed", "5", "--first")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def aliases(url: str, monkeypatch: pytest.MonkeyPatch, model: str = "churn") -> dict[str, str]:
    for variable, value in zip(("USERNAME", "PASSWORD"), TRAINER, strict=True):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{variable}", value)
    client = MlflowClient(
        tracking_uri=url, registry_uri=url
    )  # not the registry that an earlier test in this process used
    return {name: str(version) for name, version in client.get_registered_model(model).aliases.items()}


def test_the_first_version_is_promoted(
    first: str, mlflow: str, gateway: TrainingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "generate  3,000 customers, seed 5" in first
    assert "version 1 is in production" in first
    assert aliases(mlflow, monkeypatch) == {"production": "1"}
    pushed = gateway.metrics
    assert pushed["verdict{staged}"] == 1
    assert pushed["rows"] == 3000
    assert 0.7 < pushed["auc"] < 0.9
    assert pushed["duration_seconds"] > 1
    assert pushed["last_success_timestamp_seconds"] == pushed["last_run_timestamp_seconds"] > 0


def test_the_same_job_again_does_nothing(first: str, mlflow: str, gateway: TrainingGateway, login: Path) -> None:
    del first
    before = dict(gateway.metrics)
    again = retrain(mlflow, gateway, login, "--rows", "3000", "--first")
    assert (again.returncode, again.stdout) == (0, "version 1 is in production already: nothing to do\n"), again.stderr
    assert gateway.metrics == before


def test_bad_data_is_named_and_the_time_of_the_last_success_stays(
    first: str, mlflow: str, gateway: TrainingGateway, login: Path, tmp_path: Path
) -> None:
    del first
    success = gateway.metrics["last_success_timestamp_seconds"]
    (tmp_path / "bad.csv").write_text("gender,churned\nOther,1\n")
    bad = retrain(mlflow, gateway, login, "--data", str(tmp_path / "bad.csv"))
    assert bad.returncode == 2
    assert "tenure_months: column is missing" in bad.stderr
    assert (gateway.metrics["verdict{bad_input}"], gateway.metrics["verdict{staged}"]) == (1, 0)
    assert gateway.metrics["last_success_timestamp_seconds"] == success
    assert gateway.metrics["last_run_timestamp_seconds"] > success


def test_a_scheduled_run_on_a_file_stages_and_leaves_production_to_people(
    first: str, mlflow: str, gateway: TrainingGateway, login: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del first
    data = login.parent / "customers.csv"
    write(GeneratorConfig(rows=6000, seed=6), data)
    done = retrain(mlflow, gateway, login, "--data", str(data))
    assert done.returncode == 0, done.stdout + done.stderr
    assert aliases(mlflow, monkeypatch) == {"production": "1", "staging": "2"}
    assert gateway.metrics["rows"] == 6000


def test_another_model_is_trained_by_its_contract_and_both_have_their_figures(
    first: str, mlflow: str, gateway: TrainingGateway, login: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del first
    before, usual = dict(gateway.metrics), aliases(mlflow, monkeypatch)
    bank = ("--model-name", "bank", "--contract", str(ROOT / "contracts" / "bank.yaml"))
    done = retrain(mlflow, gateway, login, "--rows", "2000", "--data-seed", "5", *bank, "--first")
    assert done.returncode == 0, done.stdout + done.stderr
    assert aliases(mlflow, monkeypatch, "bank") == {"production": "1"}
    assert (gateway.metrics_of("bank")["verdict{staged}"], gateway.metrics_of("bank")["rows"]) == (1, 2000)
    assert (gateway.metrics, aliases(mlflow, monkeypatch)) == (before, usual)
    assert {push.path for push in gateway.pushes} == {f"/metrics/job/training/model/{m}" for m in ("churn", "bank")}


def test_a_wrong_password_is_a_failure_in_words(mlflow: str, gateway: TrainingGateway, login: Path) -> None:
    (login / "password").write_text("not-the-password")
    done = retrain(mlflow, gateway, login, "--rows", "1000")
    assert done.returncode == 1
    assert "401" in done.stderr
    assert "Traceback" not in done.stderr
    assert "not-the-password" not in done.stdout + done.stderr
    assert gateway.metrics["verdict{failed}"] == 1
