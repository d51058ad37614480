"""The steps of a restore's pod, on a real PostgreSQL and a real MLflow whose passwords are not those of the backup."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest
from support.backup_jobs import Jobs, prepare
from support.mlflow_pods import MARKS, PASSWORDS, Tracking, run_migration
from support.paths import ROOT
from support.postgres import Postgres
from support.recorder import containers, manifest
from support.servers import HOST, TOOL_FOLDERS

from ops.jobs.grafana_admin import hashed

pytestmark = [*MARKS, pytest.mark.long(seconds=60, together=__name__)]

OLD = dict(PASSWORDS)
NEW = {name: f"{name}-{password[::-1]}:2" for name, password in PASSWORDS.items()}
SUPERUSER = "superuser-password"
ROLES = {"mlflow": "mlflow", "grafana": "grafana", "backup": "mlflow", "monitor": "postgres"}
"""A database that each login may connect to."""
GRAFANA_USERS = """
CREATE TABLE "user" (
  id bigserial PRIMARY KEY, version integer NOT NULL, login varchar(190) NOT NULL UNIQUE,
  email varchar(190) NOT NULL UNIQUE, name varchar(255), password varchar(255), salt varchar(50), rands varchar(50),
  company varchar(255), org_id bigint NOT NULL, is_admin boolean NOT NULL, email_verified boolean, theme varchar(255),
  created timestamp NOT NULL, updated timestamp NOT NULL
);
ALTER TABLE "user" OWNER TO grafana;
"""
"""Grafana's table (grafana, pkg/services/sqlstore/migrations/user_mig.go)."""


def add_grafana_user(server: Postgres, login: str, password: str) -> None:
    values = (
        f"0, '{login}', '{login}@localhost', '{hashed(password, 'F3FAxVm33R')}', 'F3FAxVm33R', 1, true, now(), now()"
    )
    columns = "version, login, email, password, salt, org_id, is_admin, created, updated"
    server.psql(sql=f'INSERT INTO "user" ({columns}) VALUES ({values})', database="grafana")  # noqa: S608 - a test's


def grafana_accepts(server: Postgres, password: str) -> bool:
    """What Grafana compares when its administrator logs in."""
    row = server.psql(sql="SELECT password, salt FROM \"user\" WHERE login = 'admin'", database="grafana").strip()
    stored, salt = row.split("|")
    return hashed(password, salt) == stored


def test_the_hash_is_grafanas() -> None:
    """That of `admin`, as published with Grafana's schema (codi639/check_Grafana_password_hash, README)."""
    assert hashed("admin", "F3FAxVm33R") == (
        "59acf18b94d7eb0694c61e60ce44c110c7a683ac6a8f09580d626f90f4a242000746579358d77dd9e570e83fa24faa88a8a6"
    )


@pytest.fixture(scope="module")
def backups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dump of a platform with the old passwords."""
    with Postgres() as server:
        prepare(server)
        assert run_migration(server) == 0
        server.psql(sql=GRAFANA_USERS, database="grafana")
        add_grafana_user(server, "admin", OLD["admin"])
        jobs = Jobs.on(server, tmp_path_factory.mktemp("backups"))
        done = jobs.postgres()
        assert done.returncode == 0, done.stderr
        return jobs.root


@pytest.fixture
def fresh() -> Iterator[Postgres]:
    """The database of a new pod, whose secrets have other passwords."""
    with pytest.MonkeyPatch.context() as patch:
        for name, password in NEW.items():
            patch.setitem(PASSWORDS, name, password)
        with Postgres() as server:
            prepare(server)
            server.secret("postgres-superuser", username="postgres", password=SUPERUSER)
            for user in ("admin", "training", "api"):
                server.secret(f"mlflow-{user}", username=user, password=NEW[user], session_key="a" * 43)
            server.secret("grafana-admin", username="admin", password=NEW["admin"], secret_key="b" * 43)
            yield server


def steps(cron_job: str) -> list[dict[str, Any]]:
    return containers(manifest("dev", "CronJob", cron_job)["spec"]["jobTemplate"]["spec"]["template"])


def run_step(step: dict[str, Any], server: Postgres, folder: Path, backups: Path) -> subprocess.CompletedProcess[str]:
    """Run a container's command here: only the places of files and of the server differ."""
    here = {
        "/run/secrets/churn": str(server.secrets),
        "/var/lib/backups": str(backups),
        "/var/lib/restore": str(folder),
        "postgres.churn-mlops.svc": HOST,
        "5432": str(server.port),
    }

    def placed(word: str) -> str:
        for there, local in here.items():
            word = word.replace(there, local)
        return word

    environment = {item["name"]: placed(item["value"]) for item in step["env"]}
    return subprocess.run(
        [sys.executable, *step["command"][1:], *map(placed, step["args"])],
        cwd=ROOT,
        env={"PATH": TOOL_FOLDERS, **environment, "HOME": str(folder), "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def enters(server: Postgres, role: str, password: str) -> bool:
    try:
        psycopg2.connect(
            host=HOST, port=server.port, dbname=ROLES[role], user=role, password=password, sslmode="disable"
        ).close()
    except psycopg2.OperationalError:
        return False
    return True


def test_after_a_restore_every_login_has_the_password_of_its_secret(
    backups: Path, fresh: Postgres, tmp_path: Path
) -> None:
    first, *others = steps("restore-databases")
    done = run_step(first, fresh, tmp_path, backups)
    assert done.returncode == 0, done.stderr
    assert SUPERUSER not in done.stdout + done.stderr
    assert grafana_accepts(fresh, OLD["admin"]), "the dump has the old passwords: that is what the others are for"
    printed = []
    for step in others:
        done = run_step(step, fresh, tmp_path, backups)
        assert done.returncode == 0, done.stderr
        printed += done.stdout.splitlines()
    assert [line for line in printed if "given a new password" in line] == [
        *(f"user {user}: given a new password" for user in ("admin", "training", "api")),
        "Grafana's user admin: given a new password",
    ]
    assert not [name for name, password in (*OLD.items(), *NEW.items()) if password in "\n".join(printed)]
    assert {role: (enters(fresh, role, NEW[role]), enters(fresh, role, OLD[role])) for role in ROLES} == dict.fromkeys(
        ROLES, (True, False)
    )
    assert (grafana_accepts(fresh, NEW["admin"]), grafana_accepts(fresh, OLD["admin"])) == (True, False)
    with Tracking(fresh, tmp_path) as server:
        for user in ("admin", "training", "api"):
            model = "/api/2.0/mlflow/registered-models/get?name=churn"
            assert server.call("GET", model, user).status_code == httpx.codes.OK
            old = httpx.get(server.url + model, auth=(user, OLD[user]), trust_env=False, timeout=30)
            assert old.status_code == httpx.codes.UNAUTHORIZED


def test_the_logins_alone_can_be_set_at_any_time(backups: Path, fresh: Postgres, tmp_path: Path) -> None:
    """Twice, as after a restore to a point in time by other means: the second time there is nothing to do."""
    del backups
    fresh.psql(sql="DROP ROLE monitor")
    only_logins = steps("restore-logins")
    assert [step["name"] for step in only_logins] == ["roles", "mlflow-users", "restore"]
    outputs = [
        [run_step(step, fresh, tmp_path, tmp_path) for step in only_logins],
        [run_step(step, fresh, tmp_path, tmp_path) for step in only_logins],
    ]
    assert [done.returncode for done in (*outputs[0], *outputs[1])] == [0] * 6
    assert outputs[0][2].stdout == "Grafana's user admin: not there yet: Grafana creates it when it starts\n"
    assert "user admin: unchanged" in outputs[1][1].stdout
    assert enters(fresh, "monitor", NEW["monitor"])


def test_a_grafana_without_that_user_is_a_persons_task(fresh: Postgres, tmp_path: Path) -> None:
    *_, last = steps("restore-logins")
    fresh.psql(sql=GRAFANA_USERS, database="grafana")
    assert "creates it when it starts" in run_step(last, fresh, tmp_path, tmp_path).stdout
    add_grafana_user(fresh, "root", "any")
    done = run_step(last, fresh, tmp_path, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "has 1 users, but none is named 'admin'" in done.stderr
    fresh.psql(sql="UPDATE \"user\" SET login = 'Admin'", database="grafana")
    assert "given a new password" in run_step(last, fresh, tmp_path, tmp_path).stdout
    assert run_step(last, fresh, tmp_path, tmp_path).stdout == "Grafana's user admin: unchanged\n"
