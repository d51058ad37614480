"""The database's first SQL and MLflow's migration, on a real PostgreSQL 15."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy.engine import Connection
from support.backup_jobs import secret_of
from support.backups import backup_id, dump_manifest, write_manifest
from support.mlflow_pods import MARKS, PASSWORDS, arguments, pod_environment, run_migration
from support.postgres import Postgres, tool
from support.servers import HOST

from infra.connections import LOGIN_LIMITS
from infra.workloads.mlflow_jobs import DATABASE_URI
from infra.workloads.postgres import init_sql
from ops.errors import OpsError
from ops.jobs import migrate
from ops.jobs.logins import Login

pytestmark = MARKS
SELDOM = pytest.mark.long(seconds=50, together=__name__)


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


def test_each_login_owns_its_database_and_nothing_else(postgres: Postgres) -> None:
    roles = "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, rolcanlogin, rolconnlimit FROM pg_roles"
    roles_now = postgres.psql(sql=f"{roles} WHERE rolname !~ '^pg_' AND rolname <> 'postgres' ORDER BY 1").splitlines()
    assert roles_now == [f"{role}|f|f|f|t|{LOGIN_LIMITS[role]}" for role in sorted(LOGIN_LIMITS)]
    owners = postgres.psql(sql="SELECT datname, pg_get_userbyid(datdba) FROM pg_database WHERE datname !~ 'template'")
    assert {"mlflow|mlflow", "grafana|grafana", "postgres|postgres"} <= set(owners.splitlines())
    passwords = postgres.psql(sql="SELECT DISTINCT left(rolpassword, 13) FROM pg_authid WHERE rolpassword IS NOT NULL")
    assert passwords.split() == ["SCRAM-SHA-256"]
    reach = {(r, d) for r in LOGIN_LIMITS for d in ("mlflow", "grafana") if can_connect(postgres, r, d)}
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


def test_server_and_clients_take_a_changed_password_from_the_same_file(postgres: Postgres) -> None:
    """With two copies of it, a change of one would lock the clients out, and nothing would have said so."""
    changed = "another-'%password="
    file = postgres.secret("postgres-mlflow", **secret_of(postgres, "mlflow", changed)) / "pg_service.conf"
    postgres.psql(sql=init_sql(str(postgres.secrets)))
    assert can_connect(postgres, "mlflow", "mlflow", changed)
    by_clients = ("env", f"PGSERVICEFILE={file}", tool("psql"), "-Atc", "SELECT current_user", "service=churn")
    assert subprocess.run(by_clients, capture_output=True, text=True, check=True).stdout == "mlflow\n"
    assert (Login.of_postgres(file.parent).username, Login.of_postgres(file.parent).password) == ("mlflow", changed)
    postgres.secret("postgres-mlflow", **secret_of(postgres, "mlflow"))
    postgres.psql(sql=init_sql(str(postgres.secrets)))
    assert can_connect(postgres, "mlflow", "mlflow")


def test_a_service_file_without_a_password_is_an_error_and_changes_no_login(postgres: Postgres) -> None:
    folder = postgres.secret("postgres-mlflow", **{"pg_service.conf": "[churn]\nhost=a\nuser=mlflow\n"})
    with pytest.raises(AssertionError, match="without a line password="):
        postgres.psql(sql=init_sql(str(postgres.secrets)))
    with pytest.raises(OpsError, match="has no password: put it into 'postgres-mlflow'"):
        Login.of_postgres(folder)
    postgres.secret("postgres-mlflow", **secret_of(postgres, "mlflow"))
    assert can_connect(postgres, "mlflow", "mlflow")


def test_no_password_is_in_the_servers_log(postgres: Postgres) -> None:
    assert "ready to accept connections" in postgres.output
    assert not [name for name, password in PASSWORDS.items() if password in postgres.output]


def test_the_backup_login_reads_everything_and_writes_nothing(migrated: Postgres) -> None:
    with connected(migrated, "backup", "mlflow") as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM users").scalar_one() == 3
        with pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"):
            connection.exec_driver_sql("DELETE FROM users")


@SELDOM
def test_a_second_migration_changes_nothing(migrated: Postgres, capsys: pytest.CaptureFixture[str]) -> None:
    def revisions() -> str:
        sql = "SELECT version_num FROM alembic_version; SELECT version_num FROM alembic_version_auth"
        return migrated.psql(sql=sql, database="mlflow")

    before = revisions().split()
    assert run_migration(migrated) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        f"runs and models: current, now at {before[0]}",
        f"logins: current, now at {before[1]}",
        *(f"user {user}: unchanged" for user in ("admin", "training", "api")),
    ]
    assert revisions().split() == before


@SELDOM
def test_each_model_that_is_named_exists_and_training_may_manage_it(migrated: Postgres) -> None:
    def models(sql: str) -> list[str]:
        return migrated.psql(sql=sql, database="mlflow").split()

    managed = "SELECT resource_pattern FROM role_permissions WHERE permission = 'MANAGE' ORDER BY 1"
    assert models(managed) == ["churn"]
    assert run_migration(migrated, "--model", "churn", "--model", "bank") == 0
    assert models("SELECT name FROM registered_models ORDER BY 1") == ["bank", "churn"]
    assert models(managed) == ["bank", "churn"]


@SELDOM
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
    write_manifest(root, dump_manifest(round(hours_ago), finished_at=datetime.now(UTC) - timedelta(hours=hours_ago)))


@SELDOM
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
    printed = capsys.readouterr().out
    assert f"backup: {backup_id(25)}, finished" in printed
    assert "runs and models: older, now at" in printed


@SELDOM
def test_older_tables_can_be_upgraded_without_a_backup_if_said_so(postgres: Postgres, older: str) -> None:
    assert run_migration(postgres, "--without-backup", database=older) == 0


@SELDOM
def test_tables_of_a_newer_mlflow_are_refused(
    postgres: Postgres, older: str, capsys: pytest.CaptureFixture[str]
) -> None:
    postgres.psql(sql="UPDATE alembic_version SET version_num = 'ffffffffffff'", database=older)
    assert run_migration(postgres, "--without-backup", database=older) == 2
    assert "a newer MLflow has upgraded them" in capsys.readouterr().err


@SELDOM
def test_two_migrations_at_once_follow_one_another(postgres: Postgres) -> None:
    postgres.psql(sql="CREATE DATABASE twice OWNER mlflow")
    with pod_environment(postgres, "twice"), ThreadPoolExecutor(2) as pool:
        assert list(pool.map(migrate.main, [arguments(postgres)] * 2)) == [0, 0]
