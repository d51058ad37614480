"""The exporter of PostgreSQL on a real PostgreSQL 15: what it tells, what it may read, what it says of a lost server.

The program is Debian's, which is years older than the pinned one or, elsewhere, some other: rules and panels must be
right for both, so nothing here is about one version of it.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest
from recorded.record import exposition, wanted_metrics
from support import uses
from support.backup_jobs import secret_of
from support.exposed import Exposed, with_newer_labels
from support.labels import problems
from support.mlflow_pods import PASSWORDS
from support.postgres import Postgres
from support.postgres_exporter import PostgresExporter
from support.promql import metrics
from support.servers import HOST, free_port, wait_until

from infra.connections import LOGIN_LIMITS, LOGINS, MAX_CONNECTIONS, POOLS
from infra.naming import POSTGRES_EXPORTER
from infra.workloads.postgres_exporter import ASKED, KEPT
from ops.jobs import database_setup

pytestmark = pytest.mark.service

LONGEST = "pg_stat_activity_max_tx_duration"
ADMINISTRATOR = "churn_admin"
REACH = """
SELECT 'is in ' || pg_get_userbyid(roleid) FROM pg_auth_members WHERE member = 'monitor'::regrole
UNION SELECT 'connects to ' || datname FROM pg_database
  WHERE has_database_privilege('monitor', oid, 'CONNECT') AND datname IN ('postgres', 'mlflow', 'grafana')
UNION SELECT 'holds ' || rolconnlimit FROM pg_roles WHERE rolname = 'monitor'
UNION SELECT 'may do more' FROM pg_roles
  WHERE rolname = 'monitor' AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)
"""
"""All that the login is and may, a line each; PostgreSQL lets everybody into the templates too, which are empty."""
ENTERED = """
SELECT rolname || ' ' || datname FROM pg_roles, pg_database
WHERE rolname IN ('mlflow', 'grafana', 'backup', 'monitor') AND datname IN ('mlflow', 'grafana')
  AND has_database_privilege(pg_roles.oid, pg_database.oid, 'CONNECT')
"""
MEMBERSHIPS = "SELECT pg_get_userbyid(roleid) FROM pg_auth_members WHERE pg_get_userbyid(member) = 'churn_admin'"


def login(server: Postgres, password: str = PASSWORDS["monitor"]) -> Path:
    return server.secret("postgres-monitor", username="monitor", password=password + "\n")


@contextmanager
def session(server: Postgres, role: str, database: str) -> Iterator[Any]:
    """A connection over the network; nothing is committed by itself."""
    where = {"host": HOST, "port": server.port, "dbname": database, "user": role, "password": PASSWORDS[role]}
    with closing(psycopg2.connect(**where)) as connection:
        yield connection


@pytest.fixture(scope="module")
def exporter(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresExporter]:
    with PostgresExporter(postgres, tmp_path_factory.mktemp("exporter"), login=login(postgres)) as server:
        yield server


def test_every_metric_that_rules_and_panels_ask_for_is_there_with_its_labels(exporter: PostgresExporter) -> None:
    labels_by_metric = exposition(POSTGRES_EXPORTER.name, exporter.text(), wanted_metrics())["series"][
        POSTGRES_EXPORTER.name
    ]
    assert labels_by_metric.keys() >= set(ASKED)
    labelled = with_newer_labels(labels_by_metric)
    there = Exposed({metric: {POSTGRES_EXPORTER.name: labels} for metric, labels in labelled.items()})
    about_it = [use for use in uses.every() if metrics(use.expression) & set(ASKED)]
    assert {metric for use in about_it for metric in metrics(use.expression)} == set(ASKED)
    reports = [(use.where, problems(use.expression, there, use.shown)) for use in about_it]
    assert [pair for pair in reports if pair[1]] == []


def test_prometheus_keeps_a_small_part_of_it(exporter: PostgresExporter) -> None:
    samples = exporter.samples()
    selected = [sample for sample in samples if re.fullmatch(KEPT, sample.name)]
    assert 20 < len(selected) < 120 < len(samples)


def test_it_sees_the_server_and_what_it_allows(exporter: PostgresExporter) -> None:
    assert exporter.value("pg_up") == 1
    assert exporter.value("pg_settings_max_connections") == MAX_CONNECTIONS


def test_a_connection_is_counted_while_it_is_there(exporter: PostgresExporter, postgres: Postgres) -> None:
    def held() -> float:
        return exporter.value("pg_stat_database_numbackends", datname="grafana")

    before = held()
    with session(postgres, "grafana", "grafana"):
        assert held() == before + 1
    wait_until(lambda: held() == before, "the closed connection is gone", seconds=30)


def test_a_transaction_that_waits_for_its_client_is_the_longest(exporter: PostgresExporter, postgres: Postgres) -> None:
    def open_for() -> float:
        return max(
            sample.value
            for sample in exporter.samples()
            if sample.name == LONGEST
            and (sample.labels["datname"], sample.labels["state"]) == ("grafana", "idle in transaction")
        )

    assert open_for() == 0
    with session(postgres, "grafana", "grafana") as connection:
        connection.cursor().execute("SELECT 1")
        first = open_for()
        assert first > 0
        assert open_for() > first
        connection.rollback()
        assert open_for() == 0


def test_transactions_and_a_deadlock_are_counted(exporter: PostgresExporter, postgres: Postgres) -> None:
    names = [f"pg_stat_database_{counter}" for counter in ("xact_commit", "xact_rollback", "deadlocks")]
    before = [exporter.value(name, datname="mlflow") for name in names]

    def lock(connection: Any, key: int) -> bool:
        """Whether it was got, and not taken away for a deadlock."""
        try:
            connection.cursor().execute("SELECT pg_advisory_xact_lock(%s)", (key,))
        except psycopg2.errors.DeadlockDetected:
            return False
        return True

    def finish(connection: Any, key: int) -> bool:
        got = lock(connection, key)
        (connection.commit if got else connection.rollback)()
        return got

    with session(postgres, "mlflow", "mlflow") as one, session(postgres, "mlflow", "mlflow") as other:
        assert lock(one, 1)
        assert lock(other, 2)
        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(finish, (one, other), (2, 1))) == [False, True]
    wait_until(
        lambda: all(exporter.value(name, datname="mlflow") > value for name, value in zip(names, before, strict=True)),
        "each of the three has grown",
        seconds=30,
    )


def test_two_prometheus_at_once_hold_no_more_connections_than_it_is_given(
    exporter: PostgresExporter, postgres: Postgres
) -> None:
    held = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'monitor'"
    with ThreadPoolExecutor(3) as pool:
        scrapes = [pool.submit(lambda: [exporter.text() for _ in range(10)]) for _ in range(2)]
        most = 0
        while not all(scrape.done() for scrape in scrapes):
            most = max(most, int(postgres.psql(sql=held)))
    assert all("pg_up 1" in text for scrape in scrapes for text in scrape.result())
    assert 1 <= most <= POOLS[POSTGRES_EXPORTER.name].most <= LOGIN_LIMITS["monitor"]


def test_the_login_reads_no_table_and_enters_no_database_of_others(postgres: Postgres) -> None:
    for database in ("mlflow", "grafana"):
        with (
            pytest.raises(psycopg2.OperationalError, match="permission denied for database"),
            session(postgres, "monitor", database),
        ):
            pass
    postgres.psql(sql="CREATE TABLE of_others AS SELECT 1 AS one")
    try:
        with session(postgres, "monitor", "postgres") as connection:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                connection.cursor().execute("SELECT * FROM of_others")
            connection.rollback()
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                connection.cursor().execute("CREATE TABLE mine (one int)")
    finally:
        postgres.psql(sql="DROP TABLE of_others")


def test_no_table_of_mlflow_is_open_to_the_login(postgres: Postgres) -> None:
    readable = "SELECT count(*) FROM pg_class WHERE relname = 'private' AND has_table_privilege('{}', oid, 'SELECT')"
    with session(postgres, "mlflow", "mlflow") as connection:
        connection.cursor().execute("CREATE TABLE private AS SELECT 1 AS one")
        connection.commit()
    try:
        readers = {role: postgres.psql(sql=readable.format(role), database="mlflow").strip() for role in LOGINS}
        assert readers == {"mlflow": "1", "backup": "1", "grafana": "0", "monitor": "0"}
    finally:
        postgres.psql(sql="DROP TABLE private", database="mlflow")


@contextmanager
def elsewhere(what: str) -> Iterator[int | None]:
    """The port to ask instead of the server's: nobody's, or of one who takes connections and never says a word."""
    if what == "silent":
        with closing(socket.create_server((HOST, free_port()))) as listening:
            yield listening.getsockname()[1]
    else:
        yield free_port() if what == "gone" else None


@pytest.mark.parametrize("what", ["login refused", "gone", "silent"])
def test_without_a_connection_it_says_so_and_lives_on(what: str, postgres: Postgres, tmp_path: Path) -> None:
    folder = tmp_path / "login"
    folder.mkdir()
    (folder / "username").write_text("monitor")
    (folder / "password").write_text("another-password")
    with (
        elsewhere(what) as port,
        PostgresExporter(postgres, tmp_path, login=folder, database_port=port) as exporter,
    ):
        assert exporter.value("pg_up") == 0
        assert not [sample for sample in exporter.samples() if sample.name.startswith("pg_stat_database")]
        # The page that its readiness asks for.
        assert httpx.get(exporter.url, timeout=10, trust_env=False).status_code == httpx.codes.OK


def test_it_comes_back_with_the_server(tmp_path: Path) -> None:
    with Postgres() as server:
        server.psql(sql=f"CREATE ROLE monitor LOGIN PASSWORD '{PASSWORDS['monitor'].replace(chr(39), chr(39) * 2)}'")
        with PostgresExporter(server, tmp_path, login=login(server)) as exporter:
            assert exporter.value("pg_up") == 1
            server.kill()
            assert exporter.value("pg_up") == 0
            server.start()
            assert exporter.value("pg_up") == 1


def test_no_password_is_told(exporter: PostgresExporter) -> None:
    assert "Listening on" in exporter.output
    assert PASSWORDS["monitor"] not in exporter.output
    assert PASSWORDS["monitor"] not in exporter.text()
    command = Path(f"/proc/{exporter.process.pid}/environ").read_text() + " ".join(exporter.process.args)  # type: ignore[arg-type]
    assert PASSWORDS["monitor"] not in command


@pytest.fixture(scope="module")
def set_up() -> Iterator[Postgres]:
    """A server whose logins `ops/jobs/database_setup.py` made, as an administrator with the rights of RDS' own."""
    with Postgres() as server:
        server.psql(
            sql=f"""
            CREATE ROLE {ADMINISTRATOR} LOGIN CREATEDB CREATEROLE PASSWORD 'of-the-administrator';
            GRANT pg_monitor, pg_read_all_data TO {ADMINISTRATOR} WITH ADMIN OPTION;
        """
        )
        who = server.secret("administrator", username=ADMINISTRATOR, password="of-the-administrator")  # noqa: S106 - a test's
        options = ["--host", HOST, "--port", str(server.port), "--sslmode", "disable", "--superuser", str(who)]
        for role, secret in LOGINS.items():
            folder = server.secret(secret.name, **secret_of(server, role))
            options += ["--login", f"{role}:{LOGIN_LIMITS[role]}:{folder}"]
        assert database_setup.main(options) == 0
        assert database_setup.main(options) == 0, "again, as for a changed password"
        yield server


def test_the_login_is_the_same_in_a_pod_and_on_rds(postgres: Postgres, set_up: Postgres, tmp_path: Path) -> None:
    reach = set(postgres.psql(sql=REACH).splitlines())
    assert reach == {"is in pg_monitor", f"holds {LOGIN_LIMITS['monitor']}", "connects to postgres"}
    assert set(set_up.psql(sql=REACH).splitlines()) == reach
    with PostgresExporter(set_up, tmp_path, login=login(set_up)) as exporter:
        assert exporter.value("pg_up") == 1


def test_the_setup_lets_each_login_into_the_same_databases_as_a_pod(postgres: Postgres, set_up: Postgres) -> None:
    entered = set(set_up.psql(sql=ENTERED).splitlines())
    assert entered == {"mlflow mlflow", "grafana grafana", "backup mlflow", "backup grafana"}
    assert set(postgres.psql(sql=ENTERED).splitlines()) == entered
    assert set(set_up.psql(sql=MEMBERSHIPS).split()) == {"pg_monitor", "pg_read_all_data"}


def test_the_setup_gives_each_login_its_own(set_up: Postgres) -> None:
    roles = "SELECT rolname, rolconnlimit FROM pg_roles WHERE rolname !~ '^pg_|^postgres$' ORDER BY 1"
    limits = {ADMINISTRATOR: -1, **LOGIN_LIMITS}
    assert set_up.psql(sql=roles).split() == [f"{role}|{limits[role]}" for role in sorted(limits)]
    databases = "SELECT datname, pg_get_userbyid(datdba) FROM pg_database WHERE datname !~ '^template|^postgres$'"
    assert sorted(set_up.psql(sql=databases).split()) == ["grafana|grafana", "mlflow|mlflow"]
