"""The procedures of docs/dr.md, followed with their own commands: databases, artifacts, region, key, model."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import procedures
from support.backup_jobs import Jobs, files_of, prepare
from support.bundles import random_customers
from support.postgres import Postgres
from support.registered import Registered
from support.rotation import World, secrets_of_a_stack
from support.s3 import client, encrypted_bucket, environment, moto
from support.servers import TOOL_FOLDERS, Api, Mlflow, wait_until

from app.names import MODEL_NAME

pytestmark = [pytest.mark.service, pytest.mark.filterwarnings("ignore::ResourceWarning")]
SELDOM = pytest.mark.long(seconds=60, together=__name__)

BUCKET, COPY, ARTIFACTS = "churn-test-backups", "churn-test-copy", "churn-test-new-artifacts"
OTHER_REGION = "eu-west-1"
(CUSTOMER,) = random_customers(1, seed=3)
TABLES = ("runs", "model_versions", "model_version_tags", "registered_model_aliases")


@pytest.fixture
def fresh() -> Iterator[Postgres]:
    """The database of a new pod: roles, passwords and empty databases."""
    with Postgres() as running:
        prepare(running)
        yield running


@pytest.fixture
def desk(fresh: Postgres) -> Iterator[Path]:
    """The folder of an operator, with the command `churn`. The operator is not root, since a drill refuses root."""
    with tempfile.TemporaryDirectory(prefix="churn-test-desk-") as name:
        folder = Path(name)
        (folder / "service.conf").write_text(f"[superuser]\nhost={fresh.home}\nport={fresh.port}\nuser=postgres\n")
        command = fresh.as_user([sys.executable, "-m", "ops.cli"])
        (folder / "bin").mkdir()
        (folder / "bin" / "churn").write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        (folder / "bin" / "churn").chmod(0o755)
        hand_over(folder, fresh.user)
        yield folder


def hand_over(folder: Path, user: str) -> None:
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, user)


def follow(title: str, desk: Path, jobs: Jobs, **variables: object) -> subprocess.CompletedProcess[str]:
    settings = {name: str(value) for name, value in variables.items()}
    path = os.pathsep.join((str(desk / "bin"), TOOL_FOLDERS))
    files = {"PATH": path, "HOME": str(desk), "PGSERVICEFILE": str(desk / "service.conf")}
    return procedures.follow(title, desk, jobs.env() | files | {"PYTHONDONTWRITEBYTECODE": "1"} | settings)


def rows(server: Postgres) -> dict[str, str]:
    return {table: server.psql(sql=f"SELECT t FROM {table} t ORDER BY t", database="mlflow") for table in TABLES}  # noqa: S608 - names of this file


def saved(jobs: Jobs, desk: Path, user: str) -> dict[str, Path]:
    """Back up, and return the variables of the commands; the backups are copied to where the operator can read them."""
    jobs.both()
    shutil.copytree(jobs.root, desk / "backups")
    hand_over(desk, user)
    return {"BACKUPS": desk / "backups", "ARTIFACTS": desk / "artifacts"}


def test_cluster_lost(server: Postgres, fresh: Postgres, jobs: Jobs, desk: Path) -> None:
    done = follow("Cluster lost", desk, jobs, **saved(jobs, desk, fresh.user))
    assert done.returncode == 0, done.stderr
    assert rows(fresh) == rows(server)
    assert files_of(desk / "artifacts") == files_of(jobs.artifacts)


def test_database_lost_then_artifacts_lost(server: Postgres, fresh: Postgres, jobs: Jobs, desk: Path) -> None:
    places = saved(jobs, desk, fresh.user)
    done = follow("Database lost", desk, jobs, **places)
    assert done.returncode == 0, done.stderr
    assert rows(fresh) == rows(server)
    assert not (desk / "artifacts").exists(), "only what was lost is restored"
    done = follow("Artifacts lost", desk, jobs, **places)
    assert done.returncode == 0, done.stderr
    assert files_of(desk / "artifacts") == files_of(jobs.artifacts)


def replicate(s3: str) -> None:
    """Do what S3's replication does: copy each object under its name, encrypted with the other region's own key."""
    for item in client(s3).list_objects_v2(Bucket=BUCKET)["Contents"]:
        body = client(s3).get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
        client(s3, region=OTHER_REGION).put_object(Bucket=COPY, Key=item["Key"], Body=body)


def lose(s3: str, bucket: str) -> None:
    for item in client(s3).list_object_versions(Bucket=bucket)["Versions"]:
        client(s3).delete_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])
    client(s3).delete_bucket(Bucket=bucket)


def objects(s3: str, bucket: str, prefix: str) -> dict[str, bytes]:
    there = client(s3, region=OTHER_REGION)
    return {
        item["Key"].removeprefix(prefix): there.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
        for item in there.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    }


@SELDOM
def test_region_lost(server: Postgres, fresh: Postgres, jobs: Jobs, desk: Path) -> None:
    with moto() as s3:
        encrypted_bucket(s3, BUCKET)
        encrypted_bucket(s3, COPY, OTHER_REGION)
        encrypted_bucket(s3, ARTIFACTS, OTHER_REGION)
        jobs.environment = environment(s3)
        jobs.both("--upload", f"s3://{BUCKET}")
        replicate(s3)
        lose(s3, BUCKET)
        shutil.rmtree(jobs.root)
        jobs.environment["AWS_DEFAULT_REGION"] = OTHER_REGION
        places = {"COPY": f"s3://{COPY}", "ARTIFACTS": f"s3://{ARTIFACTS}/artifacts"}
        done = follow("Region lost", desk, jobs, **places)
        assert done.returncode == 0, done.stderr
        assert rows(fresh) == rows(server)
        assert objects(s3, ARTIFACTS, "artifacts/") == files_of(jobs.artifacts)
    (report,) = (desk / "drills").glob("drill-*.json")
    assert json.loads(report.read_text())["source"] == f"s3://{COPY}"


def test_secret_leaked_an_api_key_made_by_hand(bundles: list[Path], tmp_path: Path) -> None:
    """The new entry takes the place of the leaked one in the file; nothing is restarted."""
    file, variables = tmp_path / "keys.json", {"CLIENT": "web-shop", "PATH": TOOL_FOLDERS, "HOME": str(tmp_path)}

    def renew() -> str:
        done = procedures.follow("Secret leaked", tmp_path, variables)
        assert done.returncode == 0, done.stderr
        printed = json.loads((tmp_path / "new-key.json").read_text())
        file.write_text(json.dumps({"keys": [printed["entry"]]}))
        return str(printed["key"])

    leaked = renew()
    with Api(tmp_path, auth="required", api_keys_file=file, model_source=bundles[0]) as api:
        assert asked(api, leaked) == 200
        key = renew()
        wait_until(lambda: asked(api, leaked) == 401, "the leaked key is refused")
        assert asked(api, key) == 200


def asked(api: Api, key: str) -> int:
    return api.client.post("/v1/predict", json=CUSTOMER, headers={"X-API-Key": key}).status_code


@pytest.fixture
def world() -> Iterator[World]:
    with secrets_of_a_stack() as running:
        yield running


def test_secret_leaked_an_api_key_on_aws(world: World, bundles: list[Path], tmp_path: Path) -> None:
    """Rotate twice with moto: the second rotation ends the leaked key, and the pods' file follows the secret.

    Moto calls no function of Lambda, so the steps are called here, and copying the file stands in for the driver.
    """
    file, leaked, other = tmp_path / "keys.json", world.keys["web-shop"], world.keys["call-center"]

    def mount() -> None:
        file.write_text(world.value("api-keys")["keys.json"])

    mount()
    with Api(tmp_path, auth="required", api_keys_file=file, model_source=bundles[0]) as api:
        assert asked(api, leaked) == 200
        for _ in range(2):
            world.rotate("web-shop")
            mount()
        wait_until(lambda: asked(api, leaked) == 401, "the leaked key is refused")
        assert asked(api, world.value("web-shop")["key"]) == 200
        assert asked(api, other) == 200, "another client's key is not touched"


@SELDOM
def test_bad_model_promoted(bundles: list[Path], tmp_path: Path) -> None:
    with Mlflow(tmp_path / "mlflow") as mlflow:
        registered = Registered(mlflow.url, MODEL_NAME)
        good, bad = (registered.publish(bundle) for bundle in bundles[:2])
        registered.point(good, "previous")
        registered.point(bad)
        with Api(tmp_path / "api", **registered.settings()) as api:
            assert api.predict(CUSTOMER)["model_version"] == bad.number
            variables = {"MLFLOW_TRACKING_URI": mlflow.url, "REASON": "too many offers", "CHURN_ACTOR": "ann"}
            done = procedures.follow(
                "Bad model promoted", tmp_path, {"PATH": TOOL_FOLDERS, "HOME": str(tmp_path), **variables}
            )
            assert done.returncode == 0, done.stderr
            assert "too many offers" in done.stdout
            wait_until(lambda: api.predict(CUSTOMER)["model_version"] == good.number, "the earlier version serves")
