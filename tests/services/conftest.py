"""Real servers and models that several tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.backup_jobs import Jobs, prepare, small_registry
from support.bundles import make_bundle
from support.mlflow_pods import run_migration
from support.postgres import Postgres
from support.redis_api import CUSTOMERS
from support.servers import Mlflow, Redis
from support.telco import encode
from support.training_runs import write_customers

from app.model import load


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
def empty_postgres() -> Iterator[Postgres]:
    """A database server without the platform's databases and roles."""
    with Postgres() as running:
        yield running


@pytest.fixture
def jobs(server: Postgres, bundles: list[Path], tmp_path: Path) -> Jobs:
    """The commands of a backup, and a small registry that has not been backed up yet."""
    commands = Jobs.on(server, tmp_path)
    small_registry(server, commands.artifacts, bundles[0])
    return commands


@pytest.fixture
def backed_up(jobs: Jobs) -> Jobs:
    """The same with one good pair of backups."""
    jobs.both()
    return jobs


@pytest.fixture
def s3() -> Iterator[str]:
    """The URL of an S3 with an encrypted bucket for backups."""
    from support.backup_bucket import BUCKET  # noqa: PLC0415 - moto takes seconds to load
    from support.s3 import encrypted_bucket, moto  # noqa: PLC0415 - likewise

    with moto() as url:
        encrypted_bucket(url, BUCKET)
        yield url


@pytest.fixture
def bucket_jobs(jobs: Jobs, s3: str) -> Jobs:
    """The commands of a backup, with that S3."""
    from support.s3 import environment  # noqa: PLC0415 - moto takes seconds to load

    jobs.environment = environment(s3)
    return jobs


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> Postgres:
    """The database with MLflow's tables and users. Its tests need `support.mlflow_pods.MARKS`."""
    assert run_migration(postgres) == 0
    return postgres


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Redis]:
    """An empty Redis."""
    with Redis(tmp_path / "redis") as running:
        yield running


@pytest.fixture(scope="session")
def redis_scores(bundles: list[Path]) -> list[float]:
    """What the score of each of the customers is without any cache."""
    values: list[float] = load(bundles[0]).score(encode(CUSTOMERS)).tolist()
    return values
