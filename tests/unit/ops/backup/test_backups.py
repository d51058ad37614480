"""Which finished backups a root has: those with a manifest that can be trusted, in the order of their sequence."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.backups import START, artifacts_manifest, backup_id, dump_manifest, write_manifest

from ops.backup.catalog import Catalog, latest
from ops.backup.manifest import MANIFEST, Manifest, parse, render
from ops.backup.storage.folder import FolderStorage
from ops.errors import OpsError


def test_the_latest_is_the_one_that_finished_last_whatever_its_name(tmp_path: Path) -> None:
    write_manifest(tmp_path, dump_manifest(1, finished_at=datetime.fromisoformat("2026-01-02T03:10:00+01:00")))
    write_manifest(tmp_path, dump_manifest(2, finished_at=datetime(2026, 1, 1, 2, 10, tzinfo=UTC)))
    write_manifest(tmp_path, artifacts_manifest(3, 2, finished_at=START + timedelta(days=400)))
    newest = latest(FolderStorage(tmp_path), "postgres")
    assert newest is not None
    assert (newest.id, newest.finished_at) == (backup_id(1), datetime(2026, 1, 2, 2, 10, tzinfo=UTC))


@pytest.mark.parametrize(
    "changes",
    [
        {"complete": False},
        {"complete": "true"},
        {"finished_at": "2026-01-01T02:10:00"},
        {"finished_at": "yesterday"},
        {"format": 0},
        {"format": 2},
        {"format": True},
        {"kind": "volumes"},
        {"id": "../../elsewhere"},
        {"files": {"../roles.sql": {"bytes": 1, "sha256": "0" * 64}}},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_folder_with_a_bad_manifest_is_not_a_backup_but_is_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = write_manifest(tmp_path, dump_manifest(1)) / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert latest(FolderStorage(tmp_path), "postgres") is None
    (unreadable,) = Catalog(FolderStorage(tmp_path)).unreadable
    assert backup_id(1) in unreadable.key


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", "[" * 100_000])
def test_a_folder_without_a_manifest_is_not_a_backup(tmp_path: Path, content: str) -> None:
    (write_manifest(tmp_path, dump_manifest(1)) / MANIFEST).write_text(content)
    assert latest(FolderStorage(tmp_path), "postgres") is None


def test_a_folder_with_the_manifest_of_another_backup_is_not_a_backup(tmp_path: Path) -> None:
    first, second = (write_manifest(tmp_path, dump_manifest(number)) for number in (1, 2))
    (first / MANIFEST).write_bytes((second / MANIFEST).read_bytes())
    catalog = Catalog(FolderStorage(tmp_path))
    assert [manifest.id for manifest in catalog.postgres] == [backup_id(2)]
    with pytest.raises(OpsError, match="it is the manifest of postgres/"):
        catalog.find(backup_id(1))


def test_without_a_folder_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "under-way").mkdir(parents=True)
    assert latest(FolderStorage(tmp_path), "postgres") is None
    assert latest(FolderStorage(tmp_path / "missing"), "postgres") is None


def test_the_order_is_that_of_the_sequence_whatever_the_clock_showed(tmp_path: Path) -> None:
    for number, days in ((1, 0), (2, 400), (3, 1)):
        write_manifest(tmp_path, dump_manifest(number, finished_at=START + timedelta(days=days)))
    catalog = Catalog(FolderStorage(tmp_path))
    assert [manifest.sequence for manifest in catalog.postgres] == [1, 2, 3]
    assert catalog.next_sequence(START) == START.timestamp()
    assert catalog.next_sequence(datetime(1970, 1, 1, tzinfo=UTC)) == 4, "a clock set back changes nothing"
    assert Catalog(FolderStorage(tmp_path / "new")).next_sequence(START) == START.timestamp()


def test_artifacts_come_with_the_dump_they_are_tied_to_and_a_dump_with_its_last_artifacts(tmp_path: Path) -> None:
    manifests: list[Manifest] = [
        dump_manifest(1),
        artifacts_manifest(2, 1),
        dump_manifest(3),
        artifacts_manifest(4, 1),
        dump_manifest(5),
    ]
    for manifest in manifests:
        write_manifest(tmp_path, manifest)
    catalog = Catalog(FolderStorage(tmp_path))
    dump_of_latest, artifacts_of_latest = (catalog.pair("latest").postgres, catalog.pair("latest").artifacts)
    assert (dump_of_latest.sequence, artifacts_of_latest and artifacts_of_latest.sequence) == (1, 4)
    assert catalog.pair(backup_id(1)).artifacts == catalog.find(backup_id(4))
    assert catalog.pair(backup_id(5)).artifacts is None


def test_artifacts_without_their_dump_are_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path, artifacts_manifest(2, 1))
    with pytest.raises(OpsError, match=f"the dump {backup_id(1)} that the artifacts {backup_id(2)} are tied to is not"):
        Catalog(FolderStorage(tmp_path)).pair("latest")


def test_an_unknown_id_and_an_empty_root_are_reported(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match=r"has no finished backup$"):
        Catalog(FolderStorage(tmp_path)).find("latest")
    with pytest.raises(OpsError, match="'churn backup list' shows"):
        Catalog(FolderStorage(tmp_path)).find("yesterday")


def test_a_manifest_reads_back_as_it_was() -> None:
    for manifest in (dump_manifest(1), artifacts_manifest(2, 1)):
        assert parse(render(manifest), "here") == manifest
