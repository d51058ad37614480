from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.backups import latest


def make(root: Path, name: str, content: str, kind: str = "postgres") -> None:
    folder = root / kind / name
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(content)


def manifest(finished_at: str, **more: object) -> str:
    return json.dumps({"finished_at": finished_at, "complete": True} | more)


def test_the_latest_is_the_one_that_finished_last_whatever_its_name(tmp_path: Path) -> None:
    make(tmp_path, "z", manifest("2026-01-01T02:10:00Z"))
    make(tmp_path, "a", manifest("2026-01-02T03:10:00+01:00"))
    make(tmp_path, "other", manifest("2027-01-01T00:00:00Z"), kind="artifacts")
    found = latest(tmp_path, "postgres")
    assert found is not None
    assert (found.folder.name, found.finished_at) == ("a", datetime(2026, 1, 2, 2, 10, tzinfo=UTC))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        manifest("2026-01-01T02:10:00Z", complete=False),
        manifest("2026-01-01T02:10:00Z", complete="true"),
        manifest("2026-01-01T02:10:00"),
        manifest("yesterday"),
        json.dumps({"complete": True}),
        json.dumps({"complete": True, "finished_at": 1}),
    ],
)
def test_what_has_no_good_manifest_is_no_backup(tmp_path: Path, content: str) -> None:
    make(tmp_path, "broken", content)
    assert latest(tmp_path, "postgres") is None


def test_without_a_folder_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "under-way").mkdir(parents=True)
    assert latest(tmp_path, "postgres") is None
    assert latest(tmp_path / "missing", "postgres") is None
