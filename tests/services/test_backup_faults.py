"""What goes wrong around a backup: the job fails with one clear line, old backups stay, nothing temporary is left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.backup_jobs import Jobs, files_of, prepare, small_registry, superuser
from support.mlflow_pods import PASSWORDS
from support.postgres import Postgres
from support.pushing import Pushgateway
from support.servers import HOST, free_port

pytestmark = pytest.mark.service
SELDOM = pytest.mark.long(seconds=50, together=__name__)


@pytest.fixture
def gateway(backed_up: Jobs) -> Iterator[Pushgateway]:
    with Pushgateway() as running:
        backed_up.environment["PUSHGATEWAY_URL"] = running.url
        yield running


@contextmanager
def fails(jobs: Jobs, gateway: Pushgateway) -> Iterator[list[subprocess.CompletedProcess[str]]]:
    """Expect the run in this block to fail with one line, to change nothing, and to push its failure."""
    before, ran = files_of(jobs.root), list[subprocess.CompletedProcess[str]]()
    yield ran
    (done,) = ran
    assert done.returncode in {1, 2}, done.stdout
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    assert PASSWORDS["backup"] not in line
    assert files_of(jobs.root) == before
    assert not (jobs.root / "tmp").exists()
    (pushed,) = (push.body for push in gateway.pushes)
    assert "churn_backup_success 0.0" in pushed
    assert "last_success" not in pushed


@SELDOM
def test_a_wrong_password(backed_up: Jobs, gateway: Pushgateway, server: Postgres) -> None:
    backed_up.service_file = server.service_file("backup", "wrong", "mlflow")
    with fails(backed_up, gateway) as ran:
        ran.append(backed_up.postgres())
    assert ran[0].returncode == 2
    assert 'password authentication failed for user "backup"' in ran[0].stderr


def test_no_server(backed_up: Jobs, gateway: Pushgateway) -> None:
    assert backed_up.service_file is not None
    backed_up.service_file.write_text(f"[churn]\nhost={HOST}\nport={free_port()}\nuser=backup\npassword=x\n")
    with fails(backed_up, gateway) as ran:
        ran.append(backed_up.postgres())
    assert ran[0].returncode == 1
    assert "Connection refused" in ran[0].stderr


@SELDOM
def test_an_unknown_service_and_an_unknown_database(backed_up: Jobs, gateway: Pushgateway) -> None:
    with fails(backed_up, gateway) as ran:
        ran.append(
            backed_up.run(
                "backup", "postgres", "--service", "other", "--database", "mlflow", "--to", str(backed_up.root)
            )
        )
    assert ran[0].returncode == 2
    assert 'service "other" not found' in ran[0].stderr
    gateway.pushes.clear()
    with fails(backed_up, gateway) as ran:
        ran.append(backed_up.postgres("--database", "nowhere"))
    assert ran[0].returncode == 2
    assert 'database "nowhere" does not exist' in ran[0].stderr


@SELDOM
def test_the_server_is_restarted_in_the_middle_of_a_dump(
    bundles: list[Path], tmp_path: Path, backed_up: Jobs, gateway: Pushgateway
) -> None:
    with Postgres() as own:
        prepare(own)
        small_registry(own, tmp_path / "other", bundles[0])
        own.psql(
            sql="CREATE TABLE big AS SELECT i, repeat(md5(i::text), 20) AS t FROM generate_series(1, 200000) i",
            database="mlflow",
        )
        backed_up.service_file = own.service_file("backup", PASSWORDS["backup"], "mlflow")
        with fails(backed_up, gateway) as ran:
            process = backed_up.start(*backed_up.postgres_arguments())
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline and process.poll() is None:
                if any(path.stat().st_size for path in backed_up.root.glob("tmp/*/mlflow.dump")):
                    break
                time.sleep(0.005)
            own.process.send_signal(signal.SIGINT)  # a fast shutdown
            own.process.wait()
            own.start()
            out, err = process.communicate()
            ran.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
        assert ran[0].returncode == 1
        assert "terminating connection" in ran[0].stderr or "closed the connection" in ran[0].stderr
        gateway.pushes.clear()
        assert backed_up.postgres().returncode == 0, "it works after the restart"


@SELDOM
def test_artifacts_that_are_not_there(backed_up: Jobs, gateway: Pushgateway) -> None:
    backed_up.artifacts = backed_up.artifacts / "missing"
    with fails(backed_up, gateway) as ran:
        ran.append(backed_up.copy())
    assert ran[0].returncode == 2
    assert "there is no such folder" in ran[0].stderr


@SELDOM
def test_artifacts_before_any_dump(backed_up: Jobs, tmp_path: Path) -> None:
    backed_up.root = tmp_path / "fresh"
    done = backed_up.copy()
    assert done.returncode == 1
    assert "back up postgres first" in done.stderr


@contextmanager
def small_volume(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A small file system, which needs a privilege to be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small tmpfs cannot be mounted: run as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("kind", ["postgres", pytest.param("artifacts", marks=pytest.mark.long(seconds=8))])
def test_a_full_disk(backed_up: Jobs, gateway: Pushgateway, server: Postgres, tmp_path: Path, kind: str) -> None:
    with small_volume(tmp_path / "volume", 4) as volume:
        backed_up.root = volume / "backups"
        backed_up.both()
        gateway.pushes.clear()
        if kind == "artifacts":
            (backed_up.artifacts / "large").write_bytes(os.urandom(8 * 1024 * 1024))
        else:
            noise = "SELECT i, gen_random_uuid() AS a, gen_random_uuid() AS b FROM generate_series(1, 300000) i"
            server.psql(sql=f"CREATE TABLE big AS {noise}", database="mlflow")
        try:
            with fails(backed_up, gateway) as ran:
                ran.append(backed_up.copy() if kind == "artifacts" else backed_up.postgres())
            assert ran[0].returncode == 2
            assert "full" in ran[0].stderr or "No space left" in ran[0].stderr
        finally:
            server.psql(sql="DROP TABLE IF EXISTS big", database="mlflow")
            (backed_up.artifacts / "large").unlink(missing_ok=True)
        with Postgres() as empty:
            done = backed_up.run("restore", "--from", str(backed_up.root), "--to", superuser(empty),
                            "--artifacts-to", str(tmp_path / "target"))  # fmt: skip
            assert done.returncode == 0, done.stderr


@SELDOM
def test_a_model_without_its_artifacts_fails_the_job_and_is_named(
    backed_up: Jobs, gateway: Pushgateway, tmp_path: Path
) -> None:
    (backed_up.artifacts / "1/models/m-1/artifacts/serving/model.onnx").unlink()
    done = backed_up.copy()
    assert done.returncode == 2
    assert "model churn version 1: 1/models/m-1/artifacts/serving/model.onnx is missing" in done.stderr
    (pushed,) = (push.body for push in gateway.pushes)
    assert "churn_backup_broken_versions 1.0" in pushed
    assert "churn_backup_success 0.0" in pushed
    assert "last_success" not in pushed
    where = ("--from", str(backed_up.root), "--artifacts-to", str(tmp_path / "target"))
    refused = backed_up.run("restore", *where)
    assert refused.returncode == 2
    assert "this was already so when the backup was made" in refused.stderr
    assert backed_up.run("restore", *where, "--accept-broken").returncode == 0


@SELDOM
def test_a_gateway_that_is_not_there_changes_nothing(backed_up: Jobs) -> None:
    backed_up.environment["PUSHGATEWAY_URL"] = f"http://{HOST}:{free_port()}"
    done = backed_up.postgres()
    assert done.returncode == 0
    assert "the metrics of this run could not be pushed to" in done.stderr
