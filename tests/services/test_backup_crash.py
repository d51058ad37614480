"""Backups that are killed, or run at the same time: every backup that is listed can be restored."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from support.backup_jobs import Jobs, superuser
from support.postgres import Postgres

from ops.backup.catalog import Catalog
from ops.backup.options import RestoreOptions
from ops.backup.restore import restore
from ops.backup.root import READING, WRITING, reading
from ops.backup.storage.folder import FolderStorage
from ops.backup.verify import verify

pytestmark = pytest.mark.service
SELDOM = pytest.mark.long(seconds=20, together=__name__)
KILLS, MOST_RUNS = 50, 200


@pytest.mark.long(seconds=20)
@pytest.mark.timeout(1800)
def test_killed_at_50_moments_every_listed_backup_restores(jobs: Jobs, server: Postgres, tmp_path: Path) -> None:
    drawn = random.Random(50)  # noqa: S311 - no secret
    kinds = (jobs.postgres_arguments("--keep-days", "30"), jobs.artifacts_arguments("--keep-days", "30"))
    seconds = []
    for kind in kinds:
        started = time.monotonic()
        assert jobs.run(*kind).returncode == 0
        seconds.append(time.monotonic() - started)
    killed = [0, 0]
    for number in range(MOST_RUNS):
        (jobs.artifacts / f"new-{number}").write_bytes(drawn.randbytes(200_000))
        which = killed.index(min(killed))
        process, started = jobs.start(*kinds[which]), time.monotonic()
        with suppress(subprocess.TimeoutExpired):
            process.wait(drawn.uniform(0.1, 1.1) * seconds[which])
            # It ended before the kill: its duration depends on what else the machine does.
            seconds[which] = time.monotonic() - started
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        killed[which] += process.returncode == -signal.SIGKILL
        if sum(killed) == KILLS:
            break
    assert sum(killed) == KILLS
    catalog = Catalog(FolderStorage(jobs.root))
    assert not catalog.unreadable
    for backup in catalog.artifacts:
        options = RestoreOptions(
            source=str(jobs.root), backup=backup.id, server=None, artifacts=str(tmp_path / "restored" / backup.id)
        )
        restore(options, lambda _: None)
    for dump in catalog.postgres:
        restore(RestoreOptions(source=str(jobs.root), backup=dump.id, server=superuser(server), artifacts=None,
                               replace=True), lambda _: None)  # fmt: skip
    jobs.both()
    assert not (jobs.root / "tmp").exists()
    used = {artifact.name for artifact in (jobs.root / "objects").rglob("*") if artifact.is_file()}
    trees = "".join(path.read_text() for path in jobs.root.glob("artifacts/*/tree.jsonl"))
    assert all(name in trees for name in used), "contents of killed backups are left"


def test_two_at_once_one_is_turned_away_and_both_kinds_are_whole(jobs: Jobs, tmp_path: Path) -> None:
    jobs.both()
    started = [jobs.start(*jobs.postgres_arguments()) for _ in range(2)]
    ended = [(process.communicate(), process.returncode) for process in started]
    codes = sorted(code for _, code in ended)
    assert codes in ([0, 0], [0, 1]), ended
    if codes == [0, 1]:
        assert any("another backup is writing" in err for (_, err), _ in ended)
    store = FolderStorage(jobs.root)
    catalog = Catalog(store)
    assert len({dump.sequence for dump in catalog.postgres}) == len(catalog.postgres)
    for dump in catalog.postgres:
        assert verify(store, catalog.pair(dump.id), tmp_path).problems == []


@SELDOM
def test_a_second_one_is_turned_away_while_the_first_writes(jobs: Jobs) -> None:
    jobs.both()
    before = sorted(jobs.root.rglob("*"))
    with (jobs.root / WRITING).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = jobs.postgres()
    assert done.returncode == 1
    assert "another backup is writing" in done.stderr
    assert sorted(jobs.root.rglob("*")) == before


@SELDOM
def test_a_backup_during_a_restore_deletes_nothing_under_it(jobs: Jobs) -> None:
    for _ in range(3):
        jobs.both()
    (jobs.root / "objects" / "ff").mkdir(exist_ok=True)
    orphan = jobs.root / "objects" / "ff" / ("f" * 64)
    orphan.write_text("nothing names it")
    with reading(jobs.root):
        done = jobs.copy()
        assert done.returncode == 0, done.stderr
        assert "expired backups stay for now: the backups are being read" in done.stdout
        assert orphan.exists()
    assert jobs.copy().returncode == 0
    assert not orphan.exists()
    assert (jobs.root / READING).exists()


@SELDOM
def test_a_backup_that_is_asked_to_stop_leaves_nothing_behind(jobs: Jobs) -> None:
    jobs.both()
    (jobs.artifacts / "large").write_bytes(os.urandom(64 * 1024 * 1024))
    before = sorted(path for path in jobs.root.rglob("*") if path.is_file())
    process = jobs.start(*jobs.artifacts_arguments())
    deadline = time.monotonic() + 60
    while not list(jobs.root.glob("tmp/*/content-*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.terminate()
    process.communicate()
    if process.returncode != 0:
        assert process.returncode == 128 + signal.SIGTERM
        assert sorted(path for path in jobs.root.rglob("*") if path.is_file()) == before
    assert not (jobs.root / "tmp").exists()
