"""Every kind of damage is detected by `churn backup verify`, and a restore from it is refused with nothing touched."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.backup_jobs import Jobs, small_registry, superuser
from support.damage import cut, flip_byte
from support.postgres import Postgres

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def two_pairs(server: Postgres, bundles: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Jobs:
    """Two pairs of backups that differ."""
    jobs = Jobs.on(server, tmp_path_factory.mktemp("tampering"))
    small_registry(server, jobs.artifacts, bundles[0])
    jobs.both()
    server.psql(sql="INSERT INTO runs (name) VALUES ('later')", database="mlflow")
    (jobs.artifacts / "notes.txt").write_text("later")
    jobs.both()
    return jobs


@pytest.fixture
def copied(two_pairs: Jobs, tmp_path: Path) -> Jobs:
    """A copy to damage."""
    shutil.copytree(two_pairs.root, tmp_path / "backups")
    return Jobs(root=tmp_path / "backups", artifacts=two_pairs.artifacts, service_file=two_pairs.service_file)


class Backups:
    """The files of the two pairs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dumps, self.copies = (self._ordered(kind) for kind in ("postgres", "artifacts"))

    def _ordered(self, kind: str) -> list[Path]:
        folders = (self.root / kind).iterdir()
        return sorted(folders, key=lambda folder: int(json.loads((folder / "manifest.json").read_text())["sequence"]))

    def object_of(self, path: str) -> Path:
        """Where the newest backup keeps an artifact's content."""
        lines = (self.copies[-1] / "tree.jsonl").read_text().splitlines()
        (sha256,) = [str(line["sha256"]) for line in map(json.loads, lines) if line["path"] == path]
        return self.root / "objects" / sha256[:2] / sha256

    def edit(self, folder: Path, **changes: Any) -> None:
        path = folder / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))


MODEL = "1/models/m-2/artifacts/serving/model.onnx"


def swap(first: Path, second: Path) -> None:
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def drop_line(path: Path, containing: str) -> None:
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if containing not in line))


def resealed(backups: Backups) -> None:
    """Take an artifact out of the tree and make the manifest fit, so that only the tie to the models shows it."""
    tree = backups.copies[-1] / "tree.jsonl"
    drop_line(tree, MODEL)
    files = {"tree.jsonl": {"bytes": tree.stat().st_size, "sha256": hashlib.sha256(tree.read_bytes()).hexdigest()}}
    backups.edit(backups.copies[-1], files=files)


DAMAGE: dict[str, Callable[[Backups], object]] = {
    "a bit of a dump": lambda b: flip_byte(b.dumps[-1] / "mlflow.dump"),
    "a bit of an artifact": lambda b: flip_byte(b.object_of(MODEL)),
    "a bit of the tree": lambda b: flip_byte(b.copies[-1] / "tree.jsonl"),
    "a truncated dump": lambda b: cut(b.dumps[-1] / "grafana.dump"),
    "a truncated artifact": lambda b: cut(b.object_of(MODEL)),
    "a dump of no length": lambda b: (b.dumps[-1] / "mlflow.dump").write_bytes(b""),
    "an artifact of no length": lambda b: b.object_of(MODEL).write_bytes(b""),
    "roles of no length": lambda b: (b.dumps[-1] / "roles.sql").write_bytes(b""),
    "no manifest of the dump": lambda b: (b.dumps[-1] / "manifest.json").unlink(),
    "a stale manifest of the dump": lambda b: b.edit(b.dumps[-1], snapshot_at="2026-01-01T00:00:00Z"),
    "the files of another backup": lambda b: shutil.copy(b.dumps[0] / "mlflow.dump", b.dumps[-1] / "mlflow.dump"),
    "two files of one backup swapped": lambda b: swap(b.dumps[-1] / "mlflow.dump", b.dumps[-1] / "grafana.dump"),
    "two artifacts swapped": lambda b: swap(b.object_of(MODEL), b.object_of("notes.txt")),
    "the manifest of another backup": lambda b: shutil.copy(b.copies[0] / "manifest.json", b.copies[-1]),
    "the tree of another backup": lambda b: shutil.copy(b.copies[0] / "tree.jsonl", b.copies[-1]),
    "an older format": lambda b: b.edit(b.copies[-1], format=0),
    "a newer format": lambda b: b.edit(b.copies[-1], format=2),
    "a missing artifact": lambda b: b.object_of(MODEL).unlink(),
    "a missing dump": lambda b: (b.dumps[-1] / "mlflow.dump").unlink(),
    "a missing tree": lambda b: (b.copies[-1] / "tree.jsonl").unlink(),
    "a model's artifact taken out of tree and manifest": resealed,
    "a dump taken out of the manifest": lambda b: b.edit(b.dumps[-1], files={}),
    "a path that leads out": lambda b: b.edit(b.copies[-1], files={"../tree.jsonl": {"bytes": 1, "sha256": "0" * 64}}),
}


EACH_TIME = ("a bit of a dump", "a bit of an artifact", "no manifest of the dump", "a path that leads out")
SELDOM = pytest.mark.long(seconds=40, together=__name__)


@pytest.mark.parametrize("damage", [name if name in EACH_TIME else pytest.param(name, marks=SELDOM) for name in DAMAGE])
def test_damage_is_detected_and_refused(copied: Jobs, server: Postgres, damage: str, tmp_path: Path) -> None:
    backups = Backups(copied.root)
    newest = backups.copies[-1].name
    DAMAGE[damage](backups)
    verified = copied.run("backup", "verify", "--from", str(copied.root), "--backup", newest)
    assert verified.returncode != 0, f"not detected: {verified.stdout}"
    target = tmp_path / "target"
    done = copied.run(
        "restore", "--from", str(copied.root), "--backup", newest, "--to", superuser(server),
        "--artifacts-to", str(target), "--replace",
    )  # fmt: skip
    assert done.returncode == 2, done.stdout
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert not target.exists() or not list(target.iterdir())
    databases = server.psql(sql="SELECT datname FROM pg_database WHERE datname ~ '_(before|restoring)_'")
    assert not databases.strip(), "the server was touched"


def test_the_backup_beside_a_damaged_one_still_restores(copied: Jobs, server: Postgres, tmp_path: Path) -> None:
    backups = Backups(copied.root)
    flip_byte(backups.dumps[-1] / "mlflow.dump")
    (backups.copies[-1] / "manifest.json").write_text("{")
    listed = copied.run("backup", "list", "--from", str(copied.root))
    assert listed.returncode == 1
    assert "cannot be read: artifacts/" in listed.stdout
    with Postgres() as empty:
        done = copied.run(
            "restore", "--from", str(copied.root), "--backup", backups.copies[0].name,
            "--to", superuser(empty),
            "--artifacts-to", str(tmp_path / "target"),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert empty.psql(sql="SELECT count(*) FROM runs", database="mlflow").strip() == "2000"
    assert server.psql(sql="SELECT count(*) FROM runs", database="mlflow").strip() == "2001"


def test_the_whole_backup_is_found_whole(copied: Jobs) -> None:
    verified = copied.run("backup", "verify", "--from", str(copied.root), "--json")
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["problems"] == []


def test_a_damaged_object_is_repaired_by_the_next_backup(copied: Jobs) -> None:
    cut(Backups(copied.root).object_of(MODEL))
    assert copied.copy().returncode == 0
    assert copied.run("backup", "verify", "--from", str(copied.root)).returncode == 0
