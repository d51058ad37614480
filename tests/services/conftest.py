"""Real servers and models that several tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bundles import make_bundle
from support.mlflow_pods import PASSWORDS, run_migration
from support.postgres import Postgres
from support.servers import Mlflow

from infra.database import LOGINS
from infra.workloads.postgres import init_sql


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an empty MLflow server: SQLite, artifacts in a local folder and proxied by the server, one worker."""
    with Mlflow(tmp_path_factory.mktemp("mlflow")) as server:
        yield server.url


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
        for role, secret in LOGINS.items():
            server.secret(secret.name, password=PASSWORDS[role] + "\n")
        server.psql(sql=init_sql(str(server.secrets)))
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> Postgres:
    """The database with MLflow's tables and users. Its tests need `support.mlflow_pods.MARKS`."""
    assert run_migration(postgres) == 0
    return postgres
