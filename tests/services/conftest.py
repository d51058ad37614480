"""Real servers and models that several tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.backup_jobs import Jobs, prepare, small_registry
from support.bundles import make_bundle
from support.mlflow_pods import run_migration
from support.postgres import Postgres
from support.servers import Mlflow
from support.training_runs import write_customers


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an empty MLflow server: SQLite, artifacts in a local folder and proxied by the server, one worker."""
    with Mlflow(tmp_path_factory.mktemp("mlflow")) as server:
        yield server.url


@pytest.fixture(scope="session")
def customers_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of customers to train on."""
    return write_customers(tmp_path_factory.mktemp("customers") / "customers.parquet")


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three bundles that score the same customer differently."""
    folders = [tmp_path_factory.mktemp("bundle") / str(seed) for seed in range(1, 4)]
    for seed, folder in enumerate(folders, start=1):
        make_bundle(folder, seed=seed)
    return folders


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The database as its pod's first start leaves it."""
    with Postgres() as server:
        prepare(server)
        yield server


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """The same, for the tests of one file that change it."""
    with Postgres() as running:
        prepare(running)
        yield running


@pytest.fixture
def jobs(server: Postgres, bundles: list[Path], tmp_path: Path) -> Jobs:
    """The backup's programs over a small registry, which nothing has backed up yet."""
    made = Jobs.on(server, tmp_path)
    small_registry(server, made.artifacts, bundles[0])
    return made


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> Postgres:
    """The database with MLflow's tables and users. Its tests need `support.mlflow_pods.MARKS`."""
    assert run_migration(postgres) == 0
    return postgres
