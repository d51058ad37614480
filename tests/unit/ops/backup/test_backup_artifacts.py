"""Artifacts on their way to the disk: nothing is visible before the disk has it; a failing disk fails the backup."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.backups import dump_manifest, write_manifest

from ops.backup import run as backup_run
from ops.backup.catalog import tree_of
from ops.backup.manifest import ArtifactsManifest, digest, object_key
from ops.backup.options import ArtifactsOptions
from ops.backup.restore_artifacts import restore_folder
from ops.backup.storage.folder import FolderStorage

FILES = {"1/model.onnx": b"model" * 1000, "1/MLmodel": b"flavors", "2/deep/er/notes.txt": b"", "top.txt": b"top"}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / "store" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "store"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a dump that artifacts can be tied to."""
    write_manifest(tmp_path / "root", dump_manifest(1))
    return tmp_path / "root"


def back_up(store: Path, root: Path) -> backup_run.Outcome:
    return backup_run.run(ArtifactsOptions(source=str(store), to=root), lambda _: None)


def on_disk(monkeypatch: pytest.MonkeyPatch, is_visible: Callable[[], bool]) -> set[str]:
    """A set that collects the paths which are flushed while nothing is visible yet."""
    before, real = set[str](), os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        if not is_visible():
            before.add(str(Path(f"/proc/self/fd/{descriptor}").readlink()))

    monkeypatch.setattr(os, "fsync", fsync)
    return before


def contents(store: Path, root: Path) -> set[str]:
    """Where the root keeps the content of each file, and the folders with their names."""
    files = {root / object_key(digest(store / name).sha256) for name in FILES}
    return {str(path) for file in files for path in (file, file.parent, file.parent.parent)}


def test_a_backup_is_visible_once_the_disk_has_contents_and_names(
    store: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = on_disk(monkeypatch, lambda: any(root.glob("artifacts/*/manifest.json")))
    back_up(store, root)
    assert contents(store, root) <= before


def test_remains_of_a_killed_backup_are_flushed_too(store: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are whole when they are read, but perhaps only in memory."""
    left = root / object_key(digest(store / "top.txt").sha256)
    left.parent.mkdir(parents=True)
    left.write_bytes(FILES["top.txt"])
    before = on_disk(monkeypatch, lambda: any(root.glob("artifacts/*/manifest.json")))
    outcome = back_up(store, root)
    assert str(left) in before
    assert outcome.new_bytes == sum(map(len, FILES.values())) - len(FILES["top.txt"])


@pytest.mark.parametrize("left", [b"", b"xyz"], ids=["cut", "other"])
def test_content_that_a_power_cut_spoilt_is_copied_again(store: Path, root: Path, left: bytes) -> None:
    path = root / object_key(digest(store / "top.txt").sha256)
    path.parent.mkdir(parents=True)
    path.write_bytes(left)
    back_up(store, root)
    assert path.read_bytes() == FILES["top.txt"]


def test_restored_files_are_visible_once_the_disk_has_them(
    store: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = back_up(store, root).manifest
    assert isinstance(manifest, ArtifactsManifest)
    backups, target = FolderStorage(root), tmp_path / "target"
    before = on_disk(monkeypatch, lambda: any((target / name).exists() for name in FILES))
    restore_folder(backups, tree_of(backups, manifest), target, manifest.id)
    assert {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()} == FILES.keys()
    (new,) = {str(path) for path in before if Path(path).name.startswith(".restoring-")}
    files = {Path(new, name) for name in FILES}
    assert {str(path) for path in (*files, *(path.parent for path in files))} <= before


def test_a_disk_that_fails_fails_the_backup_and_leaves_no_content(
    store: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        back_up(store, root)
    assert not list(root.glob("artifacts/*"))
    assert not [path for path in (root / "objects").rglob("*") if path.is_file()]
    assert not (root / "tmp").exists()
