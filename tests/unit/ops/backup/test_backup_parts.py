"""Copies of artifacts, restored roles, messages of errors, and the facts that have two homes."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from support.paths import ROOT

from infra.workloads import drill as drill_workload
from ops.backup import root as backup_root
from ops.backup.artifacts import Copied, Objects, copy
from ops.backup.job import clear_errors
from ops.backup.manifest import Artifact, Digest, ManifestError, read_tree, write_tree
from ops.backup.postgres_client import conninfo, failure
from ops.backup.restore_postgres import role_statements
from ops.backup.storage.base import Writer
from ops.backup.storage.folder import FolderStorage
from ops.errors import OpsError, TemporaryError, exit_code
from ops.metric_names import BACKUP, DRILL

ROLES = """\
\\restrict abc
CREATE ROLE backup;
ALTER ROLE backup WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 4;
CREATE ROLE "odd ""name";
ALTER ROLE "odd ""name" WITH NOSUPERUSER NOLOGIN;
CREATE ROLE postgres;
ALTER ROLE postgres WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS;
CREATE ROLE rdsadmin;
GRANT pg_read_all_data TO backup GRANTED BY postgres;
GRANT rds_superuser TO backup GRANTED BY rdsadmin;
DROP TABLE everything;
"""


def test_missing_roles_are_created_without_clauses_that_need_a_superuser() -> None:
    assert list(role_statements(ROLES)) == [
        "SELECT 'CREATE ROLE backup' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'backup') \\gexec",
        "ALTER ROLE backup WITH INHERIT NOCREATEROLE NOCREATEDB LOGIN CONNECTION LIMIT 4;",
        (
            'SELECT \'CREATE ROLE "odd ""name"\' WHERE NOT EXISTS '
            "(SELECT FROM pg_roles WHERE rolname = 'odd \"name') \\gexec"
        ),
        'ALTER ROLE "odd ""name" WITH NOLOGIN;',
        "GRANT pg_read_all_data TO backup;",
    ]


class Restless(FolderStorage):
    """A folder in which one file is written to whenever it is read, for so many times."""

    def __init__(self, root: Path, times: int) -> None:
        super().__init__(root)
        self.left = times

    def copy(self, key: str, target: Writer | None = None) -> Digest:
        done = super().copy(key, target)
        if key == "busy" and self.left:
            self.left -= 1
            with (self.root / key).open("a") as file:
                file.write("more")
        return done


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "artifacts"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "one").write_text("same")
    (folder / "two").write_text("same")
    (folder / "busy").write_text("")
    return folder


def run(source: FolderStorage, root: Path, known: list[Artifact] | None = None) -> Copied:
    scratch = root / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    return copy(source, Objects(root, scratch, [artifact.sha256 for artifact in known or ()]), known or ())


def test_equal_contents_are_kept_once(store: Path, tmp_path: Path) -> None:
    copied = run(FolderStorage(store), tmp_path / "root")
    assert [artifact.path for artifact in copied.tree] == ["a/b/one", "busy", "two"]
    assert len(copied.new) == 2
    assert not list((tmp_path / "root" / "tmp").iterdir())


def test_a_file_that_changes_while_it_is_read_is_read_again(store: Path, tmp_path: Path) -> None:
    copied = run(Restless(store, times=1), tmp_path / "root")
    (busy,) = (artifact for artifact in copied.tree if artifact.path == "busy")
    assert busy.bytes == 4
    assert copied.restless == []


def test_one_that_never_rests_is_left_out_and_named(store: Path, tmp_path: Path) -> None:
    copied = run(Restless(store, times=100), tmp_path / "root")
    assert copied.restless == ["busy"]
    assert [artifact.path for artifact in copied.tree] == ["a/b/one", "two"]


def test_a_changed_file_of_the_same_size_and_time_is_seen(store: Path, tmp_path: Path) -> None:
    first = run(FolderStorage(store), tmp_path / "root")
    before = (store / "two").stat()
    (store / "two").write_text("SAME")
    os.utime(store / "two", ns=(before.st_atime_ns, before.st_mtime_ns))
    second = run(FolderStorage(store), tmp_path / "root", first.tree)
    assert len(second.new) == 1


def test_remains_of_a_crash_under_the_right_name_are_not_trusted(store: Path, tmp_path: Path) -> None:
    first = run(FolderStorage(store), tmp_path / "root")
    (two,) = (artifact for artifact in first.tree if artifact.path == "two")
    (tmp_path / "root" / two.key).write_text("SAME")
    run(FolderStorage(store), tmp_path / "root")
    assert (tmp_path / "root" / two.key).read_text() == "same"


def test_the_file_systems_own_folder_is_left_alone(store: Path, tmp_path: Path) -> None:
    (store / "lost+found").mkdir()
    (store / "lost+found" / "#1").write_text("not ours")
    copied = run(FolderStorage(store), tmp_path / "root")
    assert len(copied.tree) == 3
    assert copied.skipped == []


def test_links_are_not_followed_but_named(store: Path, tmp_path: Path) -> None:
    (store / "link").symlink_to("/etc/passwd")
    (store / "folder-link").symlink_to("/etc")
    copied = run(FolderStorage(store), tmp_path / "root")
    assert sorted(copied.skipped) == ["folder-link", "link"]
    assert len(copied.tree) == 3


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a//b", ".", "a/."])
def test_a_tree_that_leads_out_of_the_store_is_refused(tmp_path: Path, path: str) -> None:
    file = tmp_path / "tree.jsonl"
    write_tree(file, [Artifact(path=path, bytes=1, sha256="0" * 64, seen="")])
    with pytest.raises(ManifestError, match="is not a path within the store"):
        list(read_tree(file.read_bytes().splitlines(), "tree.jsonl"))


def test_every_metric_is_documented_and_no_other() -> None:
    page = (ROOT / "docs" / "dr.md").read_text("utf-8")
    assert dict(re.findall(r"^\| `(churn_\w+)` \| (.*) \|$", page, flags=re.MULTILINE)) == {**BACKUP, **DRILL}


def test_the_folder_of_the_reports_is_the_one_that_is_mounted() -> None:
    assert drill_workload.REPORTS_FOLDER == backup_root.REPORTS


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        ('psql: error: FATAL:  password authentication failed for user "backup"\n', OpsError),
        ("psql: error: connection to server failed: Connection refused\n", TemporaryError),
        ("", TemporaryError),
    ],
)
def test_what_may_pass_is_recognised(stderr: str, kind: type[OpsError]) -> None:
    assert type(failure("database mlflow", stderr)) is kind


def test_a_connection_string_quotes_any_name_of_a_database() -> None:
    assert conninfo("churn") == "service=churn"
    assert conninfo("host=/run user=x", "it's") == "host=/run user=x dbname='it\\'s'"


def test_a_full_volume_needs_a_person() -> None:
    with pytest.raises(OpsError) as caught, clear_errors():
        raise OSError(28, "No space left on device", "/backups/x")
    message, code = str(caught.value), exit_code(caught.value)
    assert (message, code) == ("/backups/x: the volume is full: enlarge it, or keep backups for fewer days", 2)


def test_any_other_error_of_the_system_may_pass_and_says_where() -> None:
    with pytest.raises(TemporaryError) as caught, clear_errors("the backup is not proven: "):
        raise OSError(5, "Input/output error", "/backups/x")
    assert str(caught.value) == "the backup is not proven: /backups/x: Input/output error"
    assert exit_code(caught.value) == 1
