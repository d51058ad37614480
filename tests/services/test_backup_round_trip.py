"""Backup and restore on a real PostgreSQL 15 and a real MLflow: what comes back is what was there, byte for byte."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from support.backup_jobs import Jobs, drill, files_of, prepare, superuser
from support.mlflow_pods import MARKS, PASSWORDS, Tracking, run_migration
from support.postgres import Postgres, tool
from support.procedures import follow
from support.pushing import Pushgateway
from support.registered import Registered
from support.servers import Api

from app.bundle import GOLDEN, Golden

pytestmark = MARKS
SELDOM = pytest.mark.long(seconds=60, together=__name__)

RUNS, METRICS, VERSIONS = 1_000, 100, 50


@pytest.fixture(scope="module")
def source() -> Iterator[Postgres]:
    with Postgres() as server:
        prepare(server)
        assert run_migration(server) == 0
        yield server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backup")


@pytest.fixture(scope="module")
def filled(source: Postgres, bundles: list[Path], home: Path) -> Jobs:
    """1,000 runs, 100,000 metric rows, and 50 versions that MLflow made; the last is in production."""
    jobs = Jobs.on(source, home)
    with Tracking(source, home) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
        patch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORDS["admin"])
        registered = Registered(server.url, "offers")
        versions = [registered.publish(bundles[number % len(bundles)]) for number in range(VERSIONS)]
        registered.point(versions[-1])
        experiment = MlflowClient(server.url).create_experiment("many")
    source.psql(sql=_many_runs(experiment), database="mlflow")
    source.psql(sql="CREATE TABLE dashboard (id serial PRIMARY KEY, data text);"
                    "INSERT INTO dashboard (data) SELECT md5(i::text) FROM generate_series(1, 500) i;"
                    "ALTER TABLE dashboard OWNER TO grafana", database="grafana")  # fmt: skip
    jobs.both()
    return jobs


def _many_runs(experiment: str) -> str:
    return f"""
    INSERT INTO runs (run_uuid, name, status, lifecycle_stage, start_time, artifact_uri, experiment_id)
    SELECT md5(i::text), 'run ' || i, 'FINISHED', 'active', i, 'mlflow-artifacts:/' || i,
      {experiment} FROM generate_series(1, {RUNS}) i;
    INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan)
    SELECT 'loss', 1.0 / (i + s), s, md5(i::text), s, false
      FROM generate_series(1, {RUNS}) i, generate_series(1, {METRICS}) s;
    """  # noqa: S608 - a test's own numbers


def contents(server: Postgres, database: str) -> dict[str, str]:
    """A hash of every table's rows, in the order of all their columns."""
    ours = "schemaname NOT IN ('pg_catalog', 'information_schema')"
    named = f"SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE {ours}"  # noqa: S608 - a constant
    tables = server.psql(sql=named, database=database).split()
    return {
        table: hashlib.sha256(
            server.psql(sql=f"SELECT t::text FROM {table} t ORDER BY 1;", database=database).encode()  # noqa: S608
        ).hexdigest()
        for table in tables
    }


def schema(server: Postgres, database: str) -> str:
    """Everything but the rows, as pg_dump writes it, with roles and rights."""
    command = [tool("pg_dump"), "--schema-only", "-d", f"{superuser(server)} dbname={database}"]
    dumped = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return "\n".join(line for line in dumped.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def reloaded_schema(source: Postgres, other: Postgres, database: str) -> str:
    """The same after one reload as plain SQL, since PostgreSQL writes a CHECK ... IN (...) differently after that."""
    other.psql(sql="CREATE DATABASE reloaded")
    other.psql(sql=schema(source, database), database="reloaded")
    reloaded = schema(other, "reloaded")
    other.psql(sql="DROP DATABASE reloaded")
    return reloaded


def sequences(server: Postgres, database: str) -> str:
    return server.psql(sql="SELECT sequencename, last_value FROM pg_sequences ORDER BY 1", database=database)


def restore(jobs: Jobs, empty_postgres: Postgres, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return jobs.run(
        "restore", "--from", str(jobs.root), "--to", superuser(empty_postgres), "--artifacts-to", str(folder), *more
    )


def test_into_an_empty_server_everything_comes_back(
    filled: Jobs, source: Postgres, empty_postgres: Postgres, tmp_path: Path
) -> None:
    done = restore(filled, empty_postgres, tmp_path / "artifacts")
    assert done.returncode == 0, done.stderr
    counted = empty_postgres.psql(
        sql="SELECT count(*) FROM metrics; SELECT count(*) FROM model_versions", database="mlflow"
    )
    assert counted.split() == [str(RUNS * METRICS), str(VERSIONS)]
    for database in ("mlflow", "grafana"):
        assert contents(empty_postgres, database) == contents(source, database)
        assert schema(empty_postgres, database) == reloaded_schema(source, empty_postgres, database)
        assert sequences(empty_postgres, database) == sequences(source, database)
    assert files_of(tmp_path / "artifacts") == files_of(filled.artifacts)
    rights = "SELECT datname, datacl FROM pg_database WHERE datname IN ('mlflow', 'grafana') ORDER BY 1"
    assert empty_postgres.psql(sql=rights) == source.psql(sql=rights)
    again = restore(filled, empty_postgres, tmp_path / "elsewhere")
    assert again.returncode == 2
    assert "nothing was changed; use --replace" in again.stderr


@SELDOM
def test_mlflow_on_the_restored_data_serves_the_production_model_with_identical_scores(
    filled: Jobs, empty_postgres: Postgres, bundles: list[Path], tmp_path: Path
) -> None:
    """The commands of docs/dr.md for a lost cluster, run on the databases of a new pod."""
    prepare(empty_postgres)
    (tmp_path / "service.conf").write_text(
        f"[superuser]\nhost={empty_postgres.home}\nport={empty_postgres.port}\nuser=postgres\n"
    )
    places = {"BACKUPS": str(filled.root), "ARTIFACTS": str(tmp_path / "artifacts")}
    done = follow("Cluster lost", tmp_path, filled.env() | places | {"PGSERVICEFILE": str(tmp_path / "service.conf")})
    assert done.returncode == 0, done.stderr
    empty_postgres.secret("mlflow-admin", username="admin", password=PASSWORDS["admin"], session_key="a" * 43)
    login = empty_postgres.secret("mlflow-api", username="api", password=PASSWORDS["api"])
    golden = Golden.model_validate_json((bundles[(VERSIONS - 1) % len(bundles)] / GOLDEN).read_bytes())
    customers = [row.customer for row in golden.rows[:20]]

    def scores(**settings: Any) -> tuple[str, list[float]]:
        with Api(tmp_path / str(len(settings)), **settings) as api:
            answers = [api.predict(customer) for customer in customers]
            return str(answers[0]["model_version"]), [answer["churn_probability"] for answer in answers]

    with Tracking(empty_postgres, tmp_path) as server:
        version, actual = scores(
            model_source="mlflow", models="offers", mlflow_tracking_uri=server.url, mlflow_credentials_dir=login
        )
    assert version == str(VERSIONS)
    _, expected = scores(model_source=bundles[(VERSIONS - 1) % len(bundles)])
    assert actual == expected


def test_the_drill_proves_it_and_says_how_long_it_took(filled: Jobs, source: Postgres) -> None:
    done = drill(filled, source)
    assert done.returncode == 0, done.stderr
    assert f"offers version {VERSIONS} (production): loaded" in done.stdout
    assert done.stdout.count(": loaded, ") == VERSIONS
    assert "RTO" in done.stdout
    assert "RPO" in done.stdout


@SELDOM
def test_unchanged_artifacts_are_not_copied_again(filled: Jobs) -> None:
    before = {path: path.stat().st_ino for path in (filled.root / "objects").rglob("*")}
    done = filled.copy()
    assert done.returncode == 0, done.stderr
    assert "of which 0 are new" in done.stdout
    assert {path: path.stat().st_ino for path in (filled.root / "objects").rglob("*")} == before


@SELDOM
def test_a_backup_during_writes_is_consistent(
    source: Postgres, empty_postgres: Postgres, filled: Jobs, tmp_path: Path
) -> None:
    """Every transaction writes two tables of one database; a moment later the other database gets the same number."""
    for database in ("mlflow", "grafana"):
        source.psql(sql="CREATE TABLE pulse (n int); CREATE TABLE echo (n int)", database=database)
    jobs = Jobs.on(source, tmp_path)
    shutil.copytree(filled.artifacts, jobs.artifacts, dirs_exist_ok=True)
    stop = threading.Event()

    def write() -> None:
        drawn = random.Random(8)  # noqa: S311 - no secret
        number = 0
        while not stop.wait(drawn.uniform(0, 0.02)):
            number += 1
            both = f"BEGIN; INSERT INTO pulse SELECT {number}; INSERT INTO echo SELECT {number}; COMMIT;"
            for database in ("mlflow", "grafana"):
                source.psql(sql=both, database=database)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            assert jobs.postgres().returncode == 0
    finally:
        stop.set()
        writer.join()
    assert jobs.copy().returncode == 0
    done = restore(jobs, empty_postgres, tmp_path / "restored")
    assert done.returncode == 0, done.stderr
    newest = {
        database: empty_postgres.psql(
            sql="SELECT count(*), max(n) FROM pulse; SELECT count(*), max(n) FROM echo", database=database
        ).splitlines()
        for database in ("mlflow", "grafana")
    }
    for pulse, echo in newest.values():
        assert pulse == echo
        count, last = pulse.split("|")
        assert count == last != "0"
    (manifest,) = [json.loads(path.read_text()) for path in jobs.root.glob("postgres/*/manifest.json")][-1:]
    if manifest["one_instant"]:
        ahead = int(newest["mlflow"][0].split("|")[0]) - int(newest["grafana"][0].split("|")[0])
        assert ahead in {0, 1}
    for database in ("mlflow", "grafana"):
        source.psql(sql="DROP TABLE pulse; DROP TABLE echo", database=database)


@SELDOM
def test_a_replaced_target_keeps_what_was_there(filled: Jobs, empty_postgres: Postgres, tmp_path: Path) -> None:
    empty_postgres.psql(sql="CREATE DATABASE mlflow")
    empty_postgres.psql(sql="CREATE TABLE mine (n int)", database="mlflow")
    (tmp_path / "mine.txt").write_text("mine")
    refused = restore(filled, empty_postgres, tmp_path)
    assert refused.returncode == 2
    assert "mlflow" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    done = restore(filled, empty_postgres, tmp_path, "--replace")
    assert done.returncode == 0, done.stderr
    (before,) = tmp_path.glob(".before-*")
    assert (before / "mine.txt").read_text() == "mine"
    names = empty_postgres.psql(sql="SELECT datname FROM pg_database WHERE datname LIKE 'mlflow_before_%'").split()
    assert len(names) == 1
    assert names[0] in done.stdout


def test_no_password_is_in_the_roles_or_the_output(filled: Jobs) -> None:
    done = filled.postgres()
    text = done.stdout + done.stderr + "".join(path.read_text() for path in filled.root.glob("postgres/*/roles.sql"))
    assert PASSWORDS["backup"] not in text
    assert "SCRAM" not in text
    assert "PASSWORD" not in text


@SELDOM
def test_the_metrics_reach_the_gateway(filled: Jobs) -> None:
    with Pushgateway() as gateway:
        jobs = Jobs(
            root=filled.root, artifacts=filled.artifacts, service_file=filled.service_file,
            environment={"PUSHGATEWAY_URL": gateway.url},
        )  # fmt: skip
        assert jobs.copy().returncode == 0
        jobs.artifacts = jobs.artifacts / "missing"
        assert jobs.copy().returncode == 2
    (path, good), (_, bad) = ((push.path, push.body) for push in gateway.pushes)
    assert path == "/metrics/job/backup/kind/artifacts"
    assert "churn_backup_success 1.0" in good
    assert "churn_backup_last_success_timestamp_seconds" in good
    assert "churn_backup_success 0.0" in bad
    assert "churn_backup_last_success_timestamp_seconds" not in bad
