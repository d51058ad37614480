"""What goes wrong around a backup: the job fails with one clear line, old backups stay, nothing temporary is left."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from support.backup_jobs import Jobs, prepare, small_registry, superuser
from support.mlflow_pods import PASSWORDS
from support.postgres import Postgres
from support.servers import HOST, free_port

pytestmark = pytest.mark.service


@pytest.fixture
def jobs(jobs: Jobs) -> Jobs:
    """With one good pair of backups."""
    jobs.both()
    return jobs


class Gateway:
    """Keeps what was pushed."""

    def __init__(self) -> None:
        pushed: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                pushed.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self.pushed = pushed
        self.server = HTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self.server.server_address[1]}"


@pytest.fixture
def gateway(jobs: Jobs) -> Iterator[Gateway]:
    made = Gateway()
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    jobs.environment["PUSHGATEWAY_URL"] = made.url
    yield made
    made.server.shutdown()
    made.server.server_close()


def state(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@contextmanager
def fails(jobs: Jobs, gateway: Gateway) -> Iterator[list[subprocess.CompletedProcess[str]]]:
    """A run within must fail with one line; all else stays, and the gateway hears of it."""
    before, ran = state(jobs.root), list[subprocess.CompletedProcess[str]]()
    yield ran
    (done,) = ran
    assert done.returncode in {1, 2}, done.stdout
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    assert PASSWORDS["backup"] not in line
    assert state(jobs.root) == before
    assert not (jobs.root / "tmp").exists()
    (pushed,) = gateway.pushed
    assert "churn_backup_success 0.0" in pushed
    assert "last_success" not in pushed


def test_a_wrong_password(jobs: Jobs, gateway: Gateway, server: Postgres) -> None:
    jobs.service_file = server.service_file("backup", "wrong", "mlflow")
    with fails(jobs, gateway) as ran:
        ran.append(jobs.postgres())
    assert ran[0].returncode == 2
    assert 'password authentication failed for user "backup"' in ran[0].stderr


def test_no_server(jobs: Jobs, gateway: Gateway) -> None:
    assert jobs.service_file is not None
    jobs.service_file.write_text(f"[churn]\nhost={HOST}\nport={free_port()}\nuser=backup\npassword=x\n")
    with fails(jobs, gateway) as ran:
        ran.append(jobs.postgres())
    assert ran[0].returncode == 1
    assert "Connection refused" in ran[0].stderr


def test_an_unknown_service_and_an_unknown_database(jobs: Jobs, gateway: Gateway) -> None:
    with fails(jobs, gateway) as ran:
        ran.append(jobs.run("backup", "postgres", "--service", "other", "--database", "mlflow", "--to", str(jobs.root)))
    assert ran[0].returncode == 2
    assert 'service "other" not found' in ran[0].stderr
    gateway.pushed.clear()
    with fails(jobs, gateway) as ran:
        ran.append(jobs.postgres("--database", "nowhere"))
    assert ran[0].returncode == 2
    assert 'database "nowhere" does not exist' in ran[0].stderr


def test_the_server_is_restarted_in_the_middle_of_a_dump(
    bundles: list[Path], tmp_path: Path, jobs: Jobs, gateway: Gateway
) -> None:
    with Postgres() as own:
        prepare(own)
        small_registry(own, tmp_path / "other", bundles[0])
        own.psql(
            sql="CREATE TABLE big AS SELECT i, repeat(md5(i::text), 20) AS t FROM generate_series(1, 200000) i",
            database="mlflow",
        )
        jobs.service_file = own.service_file("backup", PASSWORDS["backup"], "mlflow")
        with fails(jobs, gateway) as ran:
            process = jobs.start(*jobs.postgres_arguments())
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline and process.poll() is None:
                if any(path.stat().st_size for path in jobs.root.glob("tmp/*/mlflow.dump")):
                    break
                time.sleep(0.005)
            own.process.send_signal(signal.SIGINT)  # a fast shutdown
            own.process.wait()
            own.start()
            out, err = process.communicate()
            ran.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
        assert ran[0].returncode == 1
        assert "terminating connection" in ran[0].stderr or "closed the connection" in ran[0].stderr
        gateway.pushed.clear()
        assert jobs.postgres().returncode == 0, "after the restart it is made"


def test_artifacts_that_are_not_there(jobs: Jobs, gateway: Gateway) -> None:
    jobs.artifacts = jobs.artifacts / "missing"
    with fails(jobs, gateway) as ran:
        ran.append(jobs.copy())
    assert ran[0].returncode == 2
    assert "there is no such folder" in ran[0].stderr


def test_artifacts_before_any_dump(jobs: Jobs, tmp_path: Path) -> None:
    jobs.root = tmp_path / "fresh"
    done = jobs.copy()
    assert done.returncode == 1
    assert "back up postgres first" in done.stderr


@contextmanager
def small_volume(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A file system of its own, which takes a privilege to mount."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small tmpfs cannot be mounted: run as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("kind", ["postgres", "artifacts"])
def test_a_full_disk(jobs: Jobs, gateway: Gateway, server: Postgres, tmp_path: Path, kind: str) -> None:
    with small_volume(tmp_path / "volume", 4) as volume:
        jobs.root = volume / "backups"
        jobs.both()
        gateway.pushed.clear()
        if kind == "artifacts":
            (jobs.artifacts / "large").write_bytes(os.urandom(8 * 1024 * 1024))
        else:
            noise = "SELECT i, gen_random_uuid() AS a, gen_random_uuid() AS b FROM generate_series(1, 300000) i"
            server.psql(sql=f"CREATE TABLE big AS {noise}", database="mlflow")
        try:
            with fails(jobs, gateway) as ran:
                ran.append(jobs.copy() if kind == "artifacts" else jobs.postgres())
            assert ran[0].returncode == 2
            assert "full" in ran[0].stderr or "No space left" in ran[0].stderr
        finally:
            server.psql(sql="DROP TABLE IF EXISTS big", database="mlflow")
            (jobs.artifacts / "large").unlink(missing_ok=True)
        with Postgres() as empty:
            done = jobs.run("restore", "--from", str(jobs.root), "--to", superuser(empty),
                            "--artifacts-to", str(tmp_path / "target"))  # fmt: skip
            assert done.returncode == 0, done.stderr


def test_a_model_without_its_artifacts_fails_the_job_and_is_named(jobs: Jobs, gateway: Gateway, tmp_path: Path) -> None:
    (jobs.artifacts / "1/models/m-1/artifacts/serving/model.onnx").unlink()
    done = jobs.copy()
    assert done.returncode == 2
    assert "model churn version 1: 1/models/m-1/artifacts/serving/model.onnx is missing" in done.stderr
    (pushed,) = gateway.pushed
    assert "churn_backup_broken_versions 1.0" in pushed
    assert "churn_backup_success 0.0" in pushed
    assert "last_success" not in pushed
    where = ("--from", str(jobs.root), "--artifacts-to", str(tmp_path / "target"))
    refused = jobs.run("restore", *where)
    assert refused.returncode == 2
    assert "as when it was copied" in refused.stderr
    assert jobs.run("restore", *where, "--accept-broken").returncode == 0


def test_a_gateway_that_is_not_there_changes_nothing(jobs: Jobs) -> None:
    jobs.environment["PUSHGATEWAY_URL"] = f"http://{HOST}:{free_port()}"
    done = jobs.postgres()
    assert done.returncode == 0
    assert "was not told of this run" in done.stderr
