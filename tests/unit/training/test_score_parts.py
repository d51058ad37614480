"""Scores as a folder of parts: named like the parts of the source, whole or not there, and never over other files."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from support.parts import ROWS, model_in, pack, spoil, table_in_parts
from support.paths import ROOT

from training import answer_parts, output_folder, reading_csv
from training.files import PathError
from training.generate import write
from training.output_folder import delivered_folder
from training.score import ModelFolder, score
from training.truth import GeneratorConfig
from training.violations import DataError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return model_in(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return table_in_parts(tmp_path / "in")


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("part_format", ["parquet", "csv"])
def test_each_part_has_the_scores_that_one_file_of_all_would_have(
    tmp_path: Path, model: ModelFolder, source: Path, part_format: Any
) -> None:
    summary = score(model, str(source), f"{tmp_path}/out/", part_format=part_format)
    names = [f"a.{part_format}", f"b.{part_format}", f"deep/a.{part_format}"]
    assert files(tmp_path / "out") == ["_SUCCESS", *names]
    assert (summary.parts, summary.rows, summary.out) == (3, 3 * ROWS, f"{tmp_path}/out/")
    read = pd.read_parquet if part_format == "parquet" else pd.read_csv
    parts = [read(tmp_path / "out" / name) for name in names]
    score(model, str(source), tmp_path / f"whole.{part_format}")
    whole = read(tmp_path / f"whole.{part_format}")
    together = pd.concat(parts, ignore_index=True)
    pd.testing.assert_frame_equal(together.drop(columns="scored_at"), whole.drop(columns="scored_at"))
    assert {tuple(part["model_version"].astype(str).unique()) for part in parts} == {("7",)}
    marker = json.loads((tmp_path / "out/_SUCCESS").read_text())
    assert marker["parts"] == [{"name": name, "rows": ROWS} for name in names]
    assert (marker["rows"], marker["churn.model_version"]) == (3 * ROWS, "7")


def test_parts_of_one_name_keep_their_extensions(tmp_path: Path, model: ModelFolder) -> None:
    for name in ("b.csv", "a.csv"):
        write(GeneratorConfig(rows=5), tmp_path / "in" / "x" / name)
    pack(tmp_path / "in/x/a.csv")
    write(GeneratorConfig(rows=5), tmp_path / "in/x/a.csv", overwrite=True)
    score(model, f"{tmp_path}/in/", f"{tmp_path}/out/")
    assert files(tmp_path / "out") == ["_SUCCESS", "x/a.csv.gz.parquet", "x/a.csv.parquet", "x/b.parquet"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.csv.gz", "a.csv"), ("a.TSV", "a.csv"), ("day=1/x.parquet", "day=1/x.csv"), ("part-1", "part-1.csv"),
     ("v1.2", "v1.2.csv"), (".csv/x.csv", ".csv/x.csv")],
)  # fmt: skip
def test_a_part_has_the_name_of_its_source(name: str, expected: str) -> None:
    assert answer_parts.part_names([name], ".csv") == {name: expected}


def test_one_file_is_cut_after_so_many_rows_wherever_its_batches_end(
    tmp_path: Path, model: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_parts, "PART_ROWS", 400)
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 20_000)
    write(GeneratorConfig(rows=1000), tmp_path / "in.csv")
    assert score(model, str(tmp_path / "in.csv"), f"{tmp_path}/out/").parts == 3
    rows = {name: pq.read_metadata(tmp_path / "out" / name).num_rows for name in files(tmp_path / "out")[1:]}
    assert rows == {"part-00000.parquet": 400, "part-00001.parquet": 400, "part-00002.parquet": 200}
    ids = pd.concat([pd.read_parquet(tmp_path / "out" / name) for name in rows])["customer_id"].tolist()
    assert ids == pd.read_csv(tmp_path / "in.csv")["customer_id"].tolist()


def test_a_wrong_value_in_the_last_part_leaves_nothing(tmp_path: Path, model: ModelFolder, source: Path) -> None:
    spoil(source)
    with pytest.raises(DataError, match="gender"):
        score(model, str(source), f"{tmp_path}/new/out/")
    assert not list((tmp_path / "new").iterdir())


def test_a_folder_is_replaced_only_on_request_and_as_a_whole(tmp_path: Path, model: ModelFolder, source: Path) -> None:
    out = f"{tmp_path}/out/"
    score(model, str(source), out)
    before = {name: (tmp_path / "out" / name).read_bytes() for name in files(tmp_path / "out")}
    with pytest.raises(PathError, match=r"not empty .*--force"):
        score(model, str(source), out)
    spoil(source)
    with pytest.raises(DataError):
        score(model, str(source), out, overwrite=True)
    assert {name: (tmp_path / "out" / name).read_bytes() for name in files(tmp_path / "out")} == before
    (source / "deep/a.csv").unlink()
    score(model, str(source), out, overwrite=True)
    assert files(tmp_path / "out") == ["_SUCCESS", "a.parquet", "b.parquet"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


@pytest.mark.parametrize("marker", [None, "", "{}", '{"parts": 3}', '{"parts": [{"name": "other"}]}', "[1]"])
def test_files_that_no_scoring_wrote_are_never_replaced(
    tmp_path: Path, model: ModelFolder, source: Path, marker: str | None
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/letter.txt").write_text("mine")
    if marker is not None:
        (tmp_path / "out/_SUCCESS").write_text(marker)
    with pytest.raises(PathError, match=r"it holds (letter\.txt|_SUCCESS), which no earlier scoring wrote"):
        score(model, str(source), f"{tmp_path}/out/", overwrite=True)
    assert (tmp_path / "out/letter.txt").read_text() == "mine"


def test_an_empty_folder_and_a_link_to_one_are_filled(tmp_path: Path, model: ModelFolder, source: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    score(model, str(source), f"{tmp_path}/link/")
    assert (tmp_path / "link").is_symlink()
    assert len(files(tmp_path / "real")) == 4


@pytest.mark.parametrize("out", ["in/", "in/scores/", "./", "in/../in/deep/"])
@pytest.mark.parametrize("pattern", ["in", "in/", "in/a.csv"])
def test_the_source_and_the_scores_are_apart(
    tmp_path: Path, model: ModelFolder, source: Path, out: str, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = files(source)
    if pattern == "in/a.csv" and out in {"in/scores/", "in/../in/deep/"}:
        out = "in/"
    with pytest.raises(PathError, match="are one in the other"):
        score(model, pattern, out, overwrite=True)
    assert files(source) == before


@pytest.mark.parametrize(
    ("out", "message"),
    [("file/", "it is a file, not a folder"), ("file/x/", r"file is a file, not a folder"),
     ("folder", r"it is a folder; write folder/ for a folder of parts"), ("http://x/y/", "the scheme is http:"),
     ("s3:///x/", "no bucket"), ("here/", "the folder is in use")],
)  # fmt: skip
def test_a_place_that_cannot_be_a_folder_of_parts_is_named(
    tmp_path: Path, model: ModelFolder, source: Path, out: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    if out == "here/":
        monkeypatch.chdir(tmp_path / "here")
        out = str(tmp_path / "here") + "/"
    with pytest.raises(PathError, match=message):
        score(model, str(source), out)


def test_a_folder_that_appears_meanwhile_stays(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="it exists already"), delivered_folder(f"{tmp_path}/out/", overwrite=False):
        write(GeneratorConfig(rows=1), tmp_path / "out/b.csv")
    assert files(tmp_path) == ["out/b.csv", "out/b.truth.json"]


def test_if_the_new_folder_cannot_take_its_place_the_old_one_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(text: str) -> None:
        with delivered_folder(f"{tmp_path}/out/", overwrite=True) as folder:
            folder.path("a").write_text(text)
            folder.finish({"parts": [{"name": "a"}]})

    fill("old")
    rename, seen = Path.rename, []

    def refuse(self: Path, target: Path) -> Path:
        seen.append(self.suffix)
        if seen == [".tmp", "", ".tmp"]:
            raise OSError(errno.EIO, "input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(PathError, match="it cannot be written"):
        fill("new")
    assert seen == [".tmp", "", ".tmp", ".old"]
    assert (tmp_path / "out/a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


KILLED = """
import os, signal, sys
from training.output_folder import delivered_folder
with delivered_folder(sys.argv[1], overwrite=True) as folder:
    folder.path("a").write_text("half")
    print("written", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_leaves_one_hidden_folder_that_the_next_run_removes(tmp_path: Path) -> None:
    out = f"{tmp_path}/out/"
    subprocess.run([sys.executable, "-c", KILLED, out], cwd=ROOT, check=False, capture_output=True)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".out.churn-")
    with delivered_folder(f"{tmp_path}/other/", overwrite=False) as folder:
        folder.path("a").write_text("x")
    assert left.exists(), "it belongs to another output"
    with delivered_folder(out, overwrite=False) as folder:
        during = list(tmp_path.glob(".*"))
        assert left not in during
        with delivered_folder(out, overwrite=False):
            assert set(during) <= set(tmp_path.glob(".*")), "the folder of a writer that lives is left alone"
            folder.path("a").write_text("x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out"]


def test_a_folder_that_a_killed_writer_had_moved_aside_returns(tmp_path: Path) -> None:
    aside = tmp_path / ".out.churn-1.old"
    aside.mkdir()
    (aside / "a").write_text("old")
    with pytest.raises(PathError, match="not empty"), delivered_folder(f"{tmp_path}/out/", overwrite=False):
        pytest.fail("the work began")
    assert (tmp_path / "out/a").read_text() == "old"


def test_a_full_disk_is_reported_with_the_folder_and_leaves_nothing(
    tmp_path: Path, model: ModelFolder, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = output_folder._LocalFolder.put

    def full(self: Any, name: str) -> None:
        put(self, name)
        if name == "b.parquet":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(output_folder._LocalFolder, "put", full)
    with pytest.raises(PathError, match=r"out/?: the disk is full, it was not written"):
        score(model, str(source), f"{tmp_path}/out/")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
