"""From PostgreSQL 15 to 16 by backup, new volume, restore and comparison, on real servers of both versions."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.backup_jobs import Jobs, prepare, superuser
from support.paths import ROOT
from support.postgres import Postgres
from support.servers import HOST
from support.tools import postgres16

from infra.connections import LOGIN_LIMITS
from ops.backup.catalog import Catalog
from ops.backup.storage.folder import FolderStorage

pytestmark = pytest.mark.service
SELDOM = pytest.mark.long(seconds=30, together=__name__)

ADMINISTRATOR = "churn_admin"
TABLES = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
ROLES = (
    "SELECT rolname, rolconnlimit, rolsuper FROM pg_roles WHERE rolname !~ '^pg_|^postgres$|^churn_admin$' ORDER BY 1"
)


@pytest.fixture(scope="module")
def programs() -> Path:
    """The programs of version 16."""
    return postgres16()


@pytest.fixture
def newer(programs: Path) -> Iterator[Postgres]:
    """A server of version 16 as its pod's first start leaves it."""
    with Postgres(programs) as running:
        prepare(running)
        yield running


def back_up(jobs: Jobs, programs: Path) -> subprocess.CompletedProcess[str]:
    """Back up with other programs of PostgreSQL than Debian's, as an image for another major has them."""
    start = (
        f"from ops.backup import postgres_client as c; c.FOLDERS = ({str(programs)!r},); from ops.cli.main import main"
    )
    command = [sys.executable, "-c", f"{start}; main()", *jobs.postgres_arguments()]
    return subprocess.run(command, cwd=ROOT, env=jobs.env(), capture_output=True, text=True, check=False)


def contents(server: Postgres) -> dict[str, str]:
    tables = server.psql(sql=TABLES, database="mlflow").split()
    rows = {table: server.psql(sql=f"SELECT t FROM {table} t ORDER BY 1", database="mlflow") for table in tables}  # noqa: S608
    sequences = server.psql(sql="SELECT sequencename, last_value FROM pg_sequences ORDER BY 1", database="mlflow")
    return {**rows, "sequences": sequences, "roles": server.psql(sql=ROLES)}


def test_all_data_and_logins_move_to_the_next_major_and_are_backed_up_there(
    backed_up: Jobs, server: Postgres, newer: Postgres, programs: Path, tmp_path: Path
) -> None:
    assert newer.psql(sql="SHOW server_version").startswith("16.")
    # The dump right before the upgrade, to which no artifacts are tied: it is the newest one all the same.
    server.psql(sql="INSERT INTO runs (name) VALUES ('the last before the upgrade')", database="mlflow")
    assert backed_up.postgres().returncode == 0
    done = backed_up.run("restore", "--from", str(backed_up.root), "--to", superuser(newer))
    assert done.returncode == 0, done.stderr
    assert re.search(r"database mlflow: \d{4} rows in \d+ tables, compared", done.stdout)
    assert contents(newer) == contents(server)
    assert len(contents(newer)["roles"].split()) == len(LOGIN_LIMITS)
    # The first backup after it, by the programs of the new release.
    jobs = Jobs.on(newer, tmp_path / "newer")
    done = back_up(jobs, programs)
    assert done.returncode == 0, done.stderr
    (manifest,) = Catalog(FolderStorage(jobs.root)).postgres
    assert manifest.server_version.startswith("16.")
    assert manifest.client_version.startswith("16.")


@SELDOM
def test_an_administrator_who_is_no_superuser_restores_into_the_next_major_too(
    jobs: Jobs, server: Postgres, programs: Path
) -> None:
    """As on RDS. Since 16, who creates a role is a member of it, but has to be granted it to give it a database."""
    for table in server.psql(sql=TABLES, database="mlflow").split():
        server.psql(sql=f"ALTER TABLE {table} OWNER TO mlflow", database="mlflow")  # as MLflow's migration makes them
    jobs.both()
    with Postgres(programs) as newer:
        newer.psql(
            sql=f"""
            CREATE ROLE {ADMINISTRATOR} LOGIN CREATEDB CREATEROLE PASSWORD 'of-the-administrator';
            GRANT pg_monitor, pg_read_all_data, pg_signal_backend TO {ADMINISTRATOR} WITH ADMIN OPTION;
        """
        )
        login = newer.secret("administrator", username=ADMINISTRATOR, password="of-the-administrator")  # noqa: S106
        to = f"host={HOST} port={newer.port} sslmode=disable"
        done = jobs.run("restore", "--from", str(jobs.root), "--to", to, "--login", str(login))
        assert done.returncode == 0, done.stderr
        assert contents(newer) == contents(server)


@SELDOM
def test_a_server_of_a_newer_major_than_pg_dump_is_one_line_with_the_remedy(newer: Postgres, tmp_path: Path) -> None:
    done = Jobs.on(newer, tmp_path).postgres()
    assert done.returncode == 2, "another try would fail as well"
    (line,) = done.stderr.strip().splitlines()
    assert re.search(
        r"the server has PostgreSQL 16\.\d+, and pg_dump is 15\.\d+: it cannot dump a newer major\. Run the image ops "
        r"of a release for PostgreSQL 16, or install postgresql-client-16; docs/dr\.md has the upgrade's order$",
        line,
    )
    assert not (tmp_path / "backups" / "postgres").exists() or not list((tmp_path / "backups" / "postgres").iterdir())


def test_a_backup_of_the_next_major_is_not_restored_into_the_old_one(
    newer: Postgres, server: Postgres, programs: Path, tmp_path: Path
) -> None:
    """So the way back from an upgrade is the old volume or the backup from before it."""
    jobs = Jobs.on(newer, tmp_path)
    assert back_up(jobs, programs).returncode == 0
    done = jobs.run("restore", "--from", str(jobs.root), "--to", superuser(server))
    assert done.returncode == 2
    assert re.search(r"the server has PostgreSQL 15\.\S+.*, older than the 16\.\d+ of the backup", done.stderr)
