"""Output files: written whole or not at all, never over another file by accident, with nothing left behind."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.paths import ROOT

from training.files import PathError, check_output, check_source
from training.outputs import replaced

PROGRAM = """
import sys, time
from pathlib import Path
from training.outputs import replaced
with replaced(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    print("written", flush=True)
    time.sleep(60)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


SPELLINGS: dict[str, Callable[[Path], str]] = {
    "itself": str,
    "relative": lambda path: path.name,
    "here": lambda path: f"./{path.name}",
    "there and back": lambda path: f"folder/../{path.name}",
    "two slashes": lambda path: f"{path.parent}//{path.name}",
    "symbolic link": lambda path: _link(path, "soft.csv", Path.symlink_to),
    "hard link": lambda path: _link(path, "hard.csv", Path.hardlink_to),
    "linked folder": lambda path: f"{_link(path.parent, 'linked', Path.symlink_to)}/{path.name}",
}


def _link(path: Path, name: str, make: Callable[[Path, Path], None]) -> str:
    folder = path if path.is_dir() else path.parent
    make(folder / name, path)
    return str(folder / name)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("customers")
    return tmp_path / "in.csv"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("spelling", list(SPELLINGS))
def test_the_input_is_never_overwritten(source: Path, spelling: str, *, overwrite: bool) -> None:
    out = SPELLINGS[spelling](source)
    with pytest.raises(PathError, match="it is the same file as the input"):
        check_output(out, overwrite=overwrite, source="in.csv")


def test_letter_case_matters_only_if_the_file_system_says_so(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source.parent / "IN.CSV").write_text("stands for the same directory entry")
    monkeypatch.setattr(Path, "samefile", lambda one, other: one.name.lower() == Path(other).name.lower())
    with pytest.raises(PathError, match="it is the same file as the input"):
        check_output("IN.CSV", overwrite=True, source="in.csv")


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("file:///tmp/in.csv", "the scheme is file:; expected a local path or s3://bucket/key"),
        ("file:/tmp/in.csv", "the scheme is file:"),
        ("s3:/bucket/a.csv", "s3 takes two slashes"),
        ("s3://bucket", "no bucket or no object name"),
        ("s3://bucket/a.txt", r"the extension is \.txt"),
        ("a.txt", r"a\.txt: the extension is \.txt; expected \.csv or \.parquet"),
        ("folder", r"it is a folder; name a file in it, such as folder/out\.csv"),
        ("in.csv/a.csv", r"in\.csv is a file, not a folder"),
        ("in.csv", "it exists already; name another file, or replace it with --force"),
    ],
)
def test_a_path_that_cannot_be_written_is_reported(source: Path, out: str, message: str) -> None:
    before = names(source.parent)
    with pytest.raises(PathError, match=message):
        check_output(out, overwrite=False)
    assert names(source.parent) == before


def test_an_object_is_not_written_over_itself() -> None:
    with pytest.raises(PathError, match="it is the same file as the input"):
        check_output("s3://bucket//a.csv", overwrite=True, source="s3://bucket/a.csv")
    check_output("s3://bucket/b.csv", overwrite=False, source="s3://bucket/a.csv")


def test_a_new_file_in_a_new_folder_may_be_written(source: Path) -> None:
    check_output("new/er/out.parquet", overwrite=False, source=str(source))
    check_output("other.csv", overwrite=True, source=str(source))


def test_a_device_is_not_an_output(source: Path) -> None:
    device = source.parent / "null.csv"
    device.symlink_to("/dev/null")
    with pytest.raises(PathError, match="it is not a regular file"):
        check_output("null.csv", overwrite=True)


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Run without root's rights, which open every folder."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_or_file_without_permission_is_reported() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.csv").write_text("x")
        (folder / "in.csv").chmod(0)
        folder.chmod(0o555)
        with nobody():
            with pytest.raises(PathError, match="no permission to write in the folder"):
                check_output(f"{folder}/new/out.csv", overwrite=False)
            with pytest.raises(PathError, match=r"it cannot be read \(Permission denied\)"):
                check_source(f"{folder}/in.csv")
        folder.chmod(0o755)


def test_a_replaced_file_keeps_its_permissions_and_a_new_one_gets_the_default(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.touch()
    old.chmod(0o600)
    before = os.umask(0o027)
    try:
        for target in (old, new):
            with replaced(target) as temporary:
                temporary.write_text("x")
    finally:
        os.umask(before)
    assert (old.stat().st_mode & 0o777, new.stat().st_mode & 0o777) == (0o600, 0o640)


def test_a_link_is_replaced_and_not_its_target(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    with replaced(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "kept").read_text() == "kept"
    assert not (tmp_path / "link").is_symlink()


def test_a_file_that_appears_meanwhile_stays(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(PathError, match="it exists already"), replaced(target, overwrite=False):
        target.write_text("of another")
    assert target.read_text() == "of another"
    assert names(tmp_path) == ["out"]


def test_without_hard_links_an_unused_name_still_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    with replaced(tmp_path / "out", overwrite=False) as temporary:
        temporary.write_text("ours")
    assert (tmp_path / "out").read_text() == "ours"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_reported_with_the_file_and_leaves_nothing(tmp_path: Path, code: int) -> None:
    with pytest.raises(PathError, match=f"{tmp_path}/out: .*, it was not written"), replaced(tmp_path / "out"):
        raise OSError(code, os.strerror(code))
    assert not names(tmp_path)


def test_another_error_is_not_mistaken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="read-only"), replaced(tmp_path / "out"):
        raise OSError(errno.EROFS, "read-only")
    assert not names(tmp_path)


def test_a_file_over_the_size_limit_leaves_nothing(tmp_path: Path) -> None:
    """A real limit: the kernel refuses further writes in the middle of a command."""
    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", "data", "generate", "--rows", "3000", "--out", str(tmp_path / "out.csv")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert done.returncode == 2, done.stderr
    assert f"{tmp_path}/out.csv: it grows beyond the largest size" in done.stderr
    assert not names(tmp_path)


def test_a_killed_writer_leaves_one_named_file_that_the_next_run_removes(tmp_path: Path) -> None:
    target = tmp_path / "out[1].csv"
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(target)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        (alive,) = names(tmp_path)
        assert alive.startswith(".out[1].csv.churn-")
        assert alive.endswith(".tmp")
        with replaced(target) as temporary:
            temporary.write_text("second")
        assert names(tmp_path) == [alive, target.name], "the file of a writer that lives is left alone"
        writer.send_signal(signal.SIGKILL)
    assert names(tmp_path) == [alive, target.name]
    with replaced(tmp_path / "other.csv") as temporary:
        temporary.write_text("x")
    assert alive in names(tmp_path), "it belongs to another output"
    with replaced(target) as temporary:
        temporary.write_text("third")
    assert names(tmp_path) == ["other.csv", target.name]
    assert target.read_text() == "third"


def test_a_very_long_name_also_has_a_temporary_one(tmp_path: Path) -> None:
    target = tmp_path / ("é" * 125 + ".csv")
    with replaced(target) as temporary:
        temporary.write_text("x")
    assert names(tmp_path) == [target.name]
