"""MLflow as its pods run it, on a real PostgreSQL 15: first SQL, migration, logins, server, removal."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy
from mlflow import MlflowClient
from sqlalchemy.engine import Connection
from support.postgres import Postgres
from support.servers import HOST, TOOL_FOLDERS, Server, free_port

from app.registry import Registry
from app.settings import Settings
from infra.database import LOGIN_LIMITS, POOLS
from infra.naming import MLFLOW
from infra.workloads.mlflow import allowed_hosts, server_options
from infra.workloads.mlflow_jobs import DATABASE_URI
from infra.workloads.postgres import LOGINS, init_sql
from ops import migrate
from ops.mlflow_server import QUIET
from training import registry
from training.config import TrainConfig
from training.generate import write
from training.train import train
from training.truth import GeneratorConfig

pytestmark = [
    pytest.mark.service,
    # MLflow's server uses what Starlette, SQLAlchemy and Alembic want to drop.
    pytest.mark.filterwarnings("ignore:starlette.middleware.wsgi is deprecated"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

DOMAIN = "churn.localhost"
PASSWORDS = {name: f"{name}-%pass'word-1" for name in ("mlflow", "grafana", "backup", "admin", "api", "training")}
EXPERIMENTS = "/api/2.0/mlflow/experiments"
MODELS = "/api/2.0/mlflow/registered-models"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        for secret, role in zip(LOGINS, ("mlflow", "grafana", "backup"), strict=True):
            server.secret(secret.name, password=PASSWORDS[role] + "\n")
        server.psql(sql=init_sql(str(server.secrets)))
        yield server


@contextmanager
def connected(server: Postgres, role: str, database: str, password: str | None = None) -> Iterator[Connection]:
    """A connection over the network, with the role's password."""
    url = sqlalchemy.URL.create(
        "postgresql+psycopg2",
        username=role,
        password=password or PASSWORDS[role],
        host=HOST,
        port=server.port,
        database=database,
    )
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        yield connection


def can_connect(server: Postgres, role: str, database: str, password: str | None = None) -> bool:
    try:
        with connected(server, role, database, password):
            return True
    except sqlalchemy.exc.OperationalError:
        return False


@contextmanager
def pod_environment(server: Postgres, database: str) -> Iterator[None]:
    """What the pod's manifest sets, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGSERVICEFILE", str(server.service_file("mlflow", PASSWORDS["mlflow"], database)))
        patch.setenv("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "1")
        patch.setenv("MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW", "1")
        for name, value in QUIET.items():  # the program sets them itself; so they are gone again afterwards
            patch.setenv(name, value)
        yield


def arguments(server: Postgres) -> list[str]:
    """Command line of the migration's pod."""
    users = {"--admin": "admin", "--writer": "training", "--reader": "api"}
    given = [
        part
        for option, user in users.items()
        for part in (
            option,
            str(server.secret(f"mlflow-{user}", username=user, password=PASSWORDS[user], session_key="a" * 43)),
        )
    ]
    return ["--database", DATABASE_URI, *given]


def run_migration(server: Postgres, *options: str, database: str = "mlflow") -> int:
    with pod_environment(server, database):
        return migrate.main([*arguments(server), *options])


@pytest.fixture(scope="module")
def migrated(postgres: Postgres) -> Postgres:
    assert run_migration(postgres) == 0
    return postgres


class Tracking(Server):
    """The server of the pod: its command and environment, but for address, port and the artifacts' folder."""

    def __init__(self, server: Postgres, folder: Path) -> None:
        port = free_port()
        self.admin = server.secret("mlflow-admin")
        self.environment = {
            "PATH": TOOL_FOLDERS,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "PGSERVICEFILE": str(server.service_file("mlflow", PASSWORDS["mlflow"], "mlflow")),
            "MLFLOW_LOGIN_DIR": str(self.admin),
            "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": str(POOLS[MLFLOW.name].size),
            "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": str(POOLS[MLFLOW.name].overflow),
        }
        options = [*server_options(DOMAIN), "--host", HOST, "--port", str(port)]
        command = [*pod_command("server", *options), "--artifacts-destination", (folder / "artifacts").as_uri()]
        super().__init__(command, folder, port=port, environment=self.environment)

    def is_up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def call(
        self, method: str, path: str, user: str | None, body: object = None, host: str | None = None
    ) -> httpx.Response:
        headers = {} if host is None else {"Host": host}
        auth = None if user is None else (user, PASSWORDS[user])
        return httpx.request(
            method, self.url + path, auth=auth, json=body, headers=headers, trust_env=False, timeout=30
        )


def pod_command(what: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "ops.tracking_pod", what, *options]


@pytest.fixture(scope="module")
def tracking(migrated: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    with Tracking(migrated, tmp_path_factory.mktemp("tracking")) as server:
        yield server
        assert server.stop() == 0, "asked to stop, it did not end well"


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


# --- the first SQL ---


def test_each_login_owns_its_database_and_nothing_else(postgres: Postgres) -> None:
    roles = "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, rolcanlogin, rolconnlimit FROM pg_roles"
    found = postgres.psql(sql=f"{roles} WHERE rolname !~ '^pg_' AND rolname <> 'postgres' ORDER BY 1").splitlines()
    assert found == [f"{role}|f|f|f|t|{LOGIN_LIMITS[role]}" for role in ("backup", "grafana", "mlflow")]
    owners = postgres.psql(sql="SELECT datname, pg_get_userbyid(datdba) FROM pg_database WHERE datname !~ 'template'")
    assert {"mlflow|mlflow", "grafana|grafana", "postgres|postgres"} <= set(owners.splitlines())
    passwords = postgres.psql(sql="SELECT DISTINCT left(rolpassword, 13) FROM pg_authid WHERE rolpassword IS NOT NULL")
    assert passwords.split() == ["SCRAM-SHA-256"]
    reach = {
        (r, d) for r in ("mlflow", "grafana", "backup") for d in ("mlflow", "grafana") if can_connect(postgres, r, d)
    }
    assert reach == {("mlflow", "mlflow"), ("grafana", "grafana"), ("backup", "mlflow"), ("backup", "grafana")}


def test_the_first_sql_again_brings_in_a_changed_password(postgres: Postgres) -> None:
    changed = "another-'%password"
    folder = postgres.secret("postgres-grafana", password=changed + "\n")
    postgres.psql(sql=init_sql(str(postgres.secrets)))
    assert can_connect(postgres, "grafana", "grafana", changed)
    assert not can_connect(postgres, "grafana", "grafana")
    (folder / "password").write_text(PASSWORDS["grafana"])
    postgres.psql(sql=init_sql(str(postgres.secrets)))
    assert can_connect(postgres, "grafana", "grafana")


def test_no_password_is_in_the_servers_log(postgres: Postgres) -> None:
    assert "ready to accept connections" in postgres.output
    assert not [name for name, password in PASSWORDS.items() if password in postgres.output]


def test_the_backup_login_reads_everything_and_writes_nothing(migrated: Postgres) -> None:
    with connected(migrated, "backup", "mlflow") as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM users").scalar_one() == 3
        with pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"):
            connection.exec_driver_sql("DELETE FROM users")


# --- the migration ---


def test_a_second_migration_changes_nothing(migrated: Postgres, capsys: pytest.CaptureFixture[str]) -> None:
    def revisions() -> str:
        sql = "SELECT version_num FROM alembic_version; SELECT version_num FROM alembic_version_auth"
        return migrated.psql(sql=sql, database="mlflow")

    before = revisions().split()
    assert run_migration(migrated) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"runs and models: current, now at {before[0]}",
        f"logins: current, now at {before[1]}",
        *(f"user {user}: unchanged" for user in ("admin", "training", "api")),
    ]
    assert revisions().split() == before


def test_a_changed_password_is_taken_over(migrated: Postgres, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PASSWORDS, "training", "before-that-password")
        assert run_migration(migrated) == 0
    capsys.readouterr()
    assert run_migration(migrated) == 0
    assert "user training: given a new password" in capsys.readouterr().out


@pytest.fixture(scope="module")
def older_template(postgres: Postgres) -> str:
    """A database whose tables are one revision behind, with a version of a model in it."""
    from mlflow.store.tracking.dbmodels.initial_models import Base  # noqa: PLC0415 - once the marks above hold

    postgres.psql(sql="CREATE DATABASE older_template OWNER mlflow")
    with pod_environment(postgres, "older_template"):
        engine = sqlalchemy.create_engine(DATABASE_URI)
        Base.metadata.create_all(engine)
        upgrade(engine, "head-1")
        with engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO registered_models (name, creation_time) VALUES ('churn', 0)")
            connection.exec_driver_sql("INSERT INTO model_versions (name, version) VALUES ('churn', 1)")
        engine.dispose()
    return "older_template"


@pytest.fixture
def older(postgres: Postgres, older_template: str) -> Iterator[str]:
    """A copy of it."""
    postgres.psql(sql=f"CREATE DATABASE older TEMPLATE {older_template} OWNER mlflow")
    yield "older"
    postgres.psql(sql="DROP DATABASE older WITH (FORCE)")


def upgrade(engine: sqlalchemy.Engine, revision: str) -> None:
    from alembic import command  # noqa: PLC0415 - once the marks above hold
    from mlflow.store.db.utils import _get_alembic_config  # noqa: PLC0415 - once the marks above hold

    config = _get_alembic_config(DATABASE_URI)  # type: ignore[no-untyped-call]  # MLflow has no types here
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def make_backup(root: Path, *, hours_ago: float) -> None:
    folder = root / "postgres" / f"backup-{hours_ago:g}"
    folder.mkdir(parents=True)
    finished = datetime.now(UTC) - timedelta(hours=hours_ago)
    (folder / "manifest.json").write_text(json.dumps({"finished_at": finished.isoformat(), "complete": True}))


def test_older_tables_are_upgraded_only_after_a_fresh_backup(
    postgres: Postgres, older: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--backups", str(tmp_path))
    assert run_migration(postgres, *options, database=older) == 2
    assert "has no complete backup" in capsys.readouterr().err
    make_backup(tmp_path, hours_ago=27)
    assert run_migration(postgres, *options, database=older) == 2
    assert "more than 26 hours ago" in capsys.readouterr().err
    make_backup(tmp_path, hours_ago=25)
    assert run_migration(postgres, *options, database=older) == 0
    said = capsys.readouterr().out
    assert "backup: backup-25, finished" in said
    assert "runs and models: older, now at" in said


def test_older_tables_can_be_upgraded_without_a_backup_if_said_so(postgres: Postgres, older: str) -> None:
    assert run_migration(postgres, "--without-backup", database=older) == 0


def test_tables_of_a_newer_mlflow_are_refused(
    postgres: Postgres, older: str, capsys: pytest.CaptureFixture[str]
) -> None:
    postgres.psql(sql="UPDATE alembic_version SET version_num = 'ffffffffffff'", database=older)
    assert run_migration(postgres, "--without-backup", database=older) == 2
    assert "a newer MLflow has been here" in capsys.readouterr().err


def test_two_migrations_at_once_follow_one_another(postgres: Postgres) -> None:
    postgres.psql(sql="CREATE DATABASE twice OWNER mlflow")
    with pod_environment(postgres, "twice"), ThreadPoolExecutor(2) as pool:
        assert list(pool.map(migrate.main, [arguments(postgres)] * 2)) == [0, 0]


# --- the server ---


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


def test_nobody_gets_in_without_a_login(tracking: Tracking) -> None:
    path = f"{EXPERIMENTS}/get?experiment_id=0"
    assert tracking.call("GET", path, None).status_code == 401
    assert httpx.get(tracking.url + path, auth=("admin", "wrong"), trust_env=False).status_code == 401


def test_the_api_reads_what_training_put_into_production(tracking: Tracking, trained: str, tmp_path: Path) -> None:
    login = tracking.admin.parent / "mlflow-api"
    settings = Settings(mlflow_tracking_uri=tracking.url, mlflow_credentials_dir=login, auth="off")

    async def fetch() -> str:
        client = Registry(settings)
        found = await client.resolve()
        await client.download(found, tmp_path)
        await client.close()
        return found.version

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
    made = tracking.call("POST", f"{MODELS}/create", "admin", {"name": "other"})
    assert made.status_code == 200
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
    count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'mlflow' AND datname = 'mlflow'"
    body = {"max_results": 100, "experiment_ids": ["0"]}

    def ask(number: int) -> int:
        if number % 10 == 0:
            return int(migrated.psql(sql=count))
        paths = (f"{EXPERIMENTS}/search", "/api/2.0/mlflow/runs/search")
        assert tracking.call("POST", paths[number % 2], "admin", body).status_code == 200
        return 0

    with ThreadPoolExecutor(32) as pool:
        most = max(pool.map(ask, range(120)))
    assert 3 < most <= POOLS[MLFLOW.name].most


# --- removal ---


def gc(tracking: Tracking, *options: str) -> subprocess.CompletedProcess[str]:
    command = pod_command("gc", "--backend-store-uri", DATABASE_URI, "--tracking-uri", tracking.url, *options)
    return subprocess.run(command, env=tracking.environment, capture_output=True, text=True, check=False)


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
