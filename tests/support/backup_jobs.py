"""The backup's commands as their pods run them: a command line, an environment and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from support.mlflow_pods import PASSWORDS
from support.paths import ROOT as CODE
from support.postgres import Postgres
from support.servers import HOST, TOOL_FOLDERS

from app.bundle import ARTIFACT_FOLDER, MANIFEST, MANIFEST_TAG, sha256
from infra.cloud import Database
from infra.connections import LOGINS
from infra.credentials import service_file
from infra.secret_files import PG_SERVICE
from infra.workloads.postgres import init_sql

CHURN = (sys.executable, "-m", "ops.cli")
_PLACE = "1/models/m-{}/artifacts"
DATABASES = ("--service", "churn", "--database", "mlflow", "--database", "grafana")


def prepare(server: Postgres) -> None:
    """Do what the first start of the database's pod does."""
    for role, secret in LOGINS.items():
        server.secret(secret.name, **secret_of(server, role))
    server.psql(sql=init_sql(str(server.secrets)))


def secret_of(server: Postgres, role: str, password: str | None = None) -> dict[str, str]:
    """The files of the secret with a login of PostgreSQL: where it has a service file, nothing but that."""
    password = PASSWORDS[role] if password is None else password
    if PG_SERVICE not in LOGINS[role].files:
        return {"username": role, "password": f"{password}\n"}
    where = Database(host=HOST, port=server.port)
    return {PG_SERVICE: service_file(where, host=HOST, user=role, password=password, database=role)}


def superuser(server: Postgres) -> str:
    """The connection string of an operator who restores: at the socket, where everybody is trusted."""
    return f"host={server.home} port={server.port} user=postgres"


@dataclass(kw_only=True)
class Jobs:
    """The commands, which write to one root and dump one server."""

    root: Path
    artifacts: Path
    service_file: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def on(cls, server: Postgres, folder: Path, **environment: str) -> Self:
        artifacts = folder / "artifacts"
        artifacts.mkdir(parents=True, exist_ok=True)
        file = server.service_file("backup", PASSWORDS["backup"], "mlflow")
        return cls(root=folder / "backups", artifacts=artifacts, service_file=file, environment=environment)

    def env(self) -> dict[str, str]:
        variables = {"PATH": TOOL_FOLDERS, "HOME": str(self.root.parent), "OMP_NUM_THREADS": "1"}
        if self.service_file is not None:
            variables["PGSERVICEFILE"] = str(self.service_file)
        return variables | self.environment

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command of `churn`, in a process group of its own as in a pod."""
        return subprocess.Popen(
            [*CHURN, *arguments], cwd=CODE, env=self.env(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments) as process:
            out, err = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def postgres_arguments(self, *more: str) -> tuple[str, ...]:
        return ("backup", "postgres", *DATABASES, "--to", str(self.root), *more)

    def artifacts_arguments(self, *more: str) -> tuple[str, ...]:
        return ("backup", "artifacts", "--from", str(self.artifacts), "--to", str(self.root), *more)

    def postgres(self, *more: str) -> subprocess.CompletedProcess[str]:
        return self.run(*self.postgres_arguments(*more))

    def copy(self, *more: str) -> subprocess.CompletedProcess[str]:
        return self.run(*self.artifacts_arguments(*more))

    def both(self, *more: str) -> None:
        for done in (self.postgres(*more), self.copy(*more)):
            assert done.returncode == 0, done.stderr


def drill(jobs: Jobs, server: Postgres, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a drill as the server's user, as PostgreSQL refuses root, on a copy that this user can read."""
    with tempfile.TemporaryDirectory(prefix="churn-test-drill-") as name:
        folder = Path(name)
        backups, scratch = folder / "backups", folder / "scratch"
        shutil.copytree(jobs.root, backups)
        scratch.mkdir()
        if os.geteuid() == 0:
            for path in (folder, *folder.rglob("*")):
                shutil.chown(path, server.user)
        command = [*CHURN, "drill", "--from", str(backups), "--scratch", str(scratch), *more]
        environment: Mapping[str, str] = jobs.env() | {"HOME": str(scratch), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            server.as_user(command), cwd=CODE, env=environment, capture_output=True, text=True, check=False
        )


def files_of(folder: Path) -> dict[str, bytes]:
    """The content of every file below a folder, by its path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def small_registry(server: Postgres, artifacts: Path, bundle: Path, *, versions: int = 2) -> None:
    """Make the few tables and files of MLflow that a backup reads: one model, whose last version is in production."""
    digest = sha256((bundle / MANIFEST).read_bytes())
    for number in range(1, versions + 1):
        place = artifacts / _PLACE.format(number)
        shutil.copytree(bundle, place / ARTIFACT_FOLDER)
        (place / "MLmodel").write_text(f"version {number}\n")
    place_of = _PLACE.format("' || v || '")
    server.psql(
        sql=f"""
        DROP TABLE IF EXISTS model_versions, model_version_tags, registered_model_aliases, runs CASCADE;
        CREATE TABLE runs (id serial PRIMARY KEY, name text);
        INSERT INTO runs (name) SELECT md5(i::text) FROM generate_series(1, 2000) i;
        CREATE TABLE model_versions AS SELECT 'churn' AS name, v AS version, 'models:/m-' || v AS source,
          'mlflow-artifacts:/{place_of}' AS storage_location, 'None' AS current_stage
          FROM generate_series(1, {versions}) v;
        CREATE TABLE model_version_tags AS SELECT 'churn' AS name, v AS version, '{MANIFEST_TAG}' AS key,
          '{digest}' AS value FROM generate_series(1, {versions}) v;
        CREATE TABLE registered_model_aliases AS SELECT 'churn' AS name, 'production' AS alias, {versions} AS version;
        """,  # noqa: S608 - a test's own values
        database="mlflow",
    )
