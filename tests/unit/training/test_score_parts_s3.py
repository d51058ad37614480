"""Scores as parts below a prefix in S3: they appear all at once, with a real HTTP server that speaks its protocol."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.parts import ROWS, model_in, spoil, table_in_parts
from support.s3 import client as s3_client
from support.s3 import environment, moto

from training import s3_folder
from training.files import PathError
from training.output_folder import delivered_folder
from training.score import ModelFolder, score
from training.violations import DataError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return model_in(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return table_in_parts(tmp_path / "in")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A client, with the bucket ``data``; temporary files are in ``tmp``."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    with moto() as url:
        for name, value in environment(url).items():
            monkeypatch.setenv(name, value)
        client = s3_client(url, region="us-east-1")
        client.create_bucket(Bucket="data")
        yield client
    assert not list((tmp_path / "tmp").iterdir())


def keys(s3: Any) -> list[str]:
    return sorted(entry["Key"] for entry in s3.list_objects_v2(Bucket="data").get("Contents", ()))


def uploads(s3: Any) -> list[Any]:
    return list(s3.list_multipart_uploads(Bucket="data").get("Uploads", ()))


def test_parts_appear_in_s3_all_at_once_and_the_marker_last(
    s3: Any, tmp_path: Path, model: ModelFolder, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[list[str], int]] = []
    published = s3_folder._S3Folder.publish

    def publish(self: Any, old: set[str]) -> None:
        seen.append((keys(s3), len(uploads(s3))))
        published(self, old)

    monkeypatch.setattr(s3_folder._S3Folder, "publish", publish)
    score(model, str(source), "s3://data/scores/")
    assert seen == [([], 3)]
    assert not uploads(s3)
    names = ["a.parquet", "b.parquet", "deep/a.parquet"]
    assert keys(s3) == ["scores/_SUCCESS", *(f"scores/{name}" for name in names)]
    marker = s3.get_object(Bucket="data", Key="scores/_SUCCESS")
    last = max(s3.head_object(Bucket="data", Key=f"scores/{name}")["LastModified"] for name in names)
    assert marker["LastModified"] >= last
    s3.download_file("data", "scores/deep/a.parquet", str(tmp_path / "got.parquet"))
    score(model, str(source / "deep/a.csv"), tmp_path / "local.parquet")
    got, local = (
        pd.read_parquet(tmp_path / name).drop(columns="scored_at") for name in ("got.parquet", "local.parquet")
    )
    pd.testing.assert_frame_equal(got, local)


def test_a_prefix_is_scored_into_another_with_its_progress(s3: Any, model: ModelFolder, source: Path) -> None:
    for name in ("a.csv", "b.csv.gz"):
        s3.upload_file(str(source / name), "data", f"in/{name}")
    seen: list[tuple[int, float]] = []
    score(model, "s3://data/in/", "s3://data/out/", part_format="csv", on_progress=lambda *step: seen.append(step))
    assert keys(s3)[2:] == ["out/_SUCCESS", "out/a.csv", "out/b.csv"]
    assert [rows for rows, _ in seen] == [ROWS, 2 * ROWS]
    assert 0 < seen[0][1] < seen[1][1] == 1


def test_a_large_part_goes_to_s3_in_pieces(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_folder, "CHUNK_BYTES", 5 * 1024 * 1024)
    content = os.urandom(1024) * 1024 * 11
    with delivered_folder("s3://data/", overwrite=False) as folder:
        folder.path("a").write_bytes(content)
        folder.put("a")
        assert not list((tmp_path / "tmp").rglob("a")), "a part that is uploaded takes no room here"
        folder.finish({"parts": [{"name": "a"}]})
    assert s3.get_object(Bucket="data", Key="a")["Body"].read() == content
    assert s3.head_object(Bucket="data", Key="a")["ETag"].endswith('-3"')


def test_a_wrong_value_leaves_nothing_in_s3(s3: Any, model: ModelFolder, source: Path) -> None:
    spoil(source)
    with pytest.raises(DataError, match="gender"):
        score(model, str(source), "s3://data/scores/")
    assert not keys(s3)
    assert not uploads(s3)


def test_a_prefix_is_replaced_only_on_request_and_nothing_else_is_lost(
    s3: Any, model: ModelFolder, source: Path
) -> None:
    score(model, str(source), "s3://data/scores/")
    with pytest.raises(PathError, match=r"s3://data/scores/: the folder is not empty .*--force"):
        score(model, str(source), "s3://data/scores/")
    (source / "b.csv.gz").unlink()
    score(model, str(source), "s3://data/scores/", overwrite=True)
    assert keys(s3) == ["scores/_SUCCESS", "scores/a.parquet", "scores/deep/a.parquet"]
    s3.put_object(Bucket="data", Key="scores/letter.txt", Body=b"mine")
    with pytest.raises(PathError, match=r"it holds letter\.txt, which no earlier scoring wrote"):
        score(model, str(source), "s3://data/scores/", overwrite=True)


@pytest.mark.parametrize("over_old", [False, True])
def test_a_failure_while_parts_appear_is_seen_by_readers_and_can_be_repeated(
    s3: Any, model: ModelFolder, source: Path, monkeypatch: pytest.MonkeyPatch, *, over_old: bool
) -> None:
    if over_old:
        score(model, str(source), "s3://data/scores/")
    with monkeypatch.context() as patch:
        write_ = s3_folder._S3Folder._write

        def fail(self: Any, name: str, content: Any) -> None:
            if name == "_SUCCESS":
                raise KeyboardInterrupt
            write_(self, name, content)

        patch.setattr(s3_folder._S3Folder, "_write", fail)
        with pytest.raises(KeyboardInterrupt):
            score(model, str(source), "s3://data/scores/", overwrite=over_old)
    assert "scores/_SUCCESS" not in keys(s3)
    assert ("scores/_UNFINISHED" in keys(s3)) is over_old
    assert bool(keys(s3)) is over_old
    assert not uploads(s3)
    score(model, str(source), "s3://data/scores/", overwrite=over_old)
    assert keys(s3) == ["scores/_SUCCESS", *(f"scores/{name}.parquet" for name in ("a", "b", "deep/a"))]


def test_a_missing_bucket_is_reported_before_the_work(s3: Any, model: ModelFolder, source: Path) -> None:
    del s3
    with pytest.raises(PathError, match="no bucket 'absent'"):
        score(model, str(source), "s3://absent/scores/")


def test_the_source_and_the_scores_are_apart_in_s3_too(s3: Any, model: ModelFolder) -> None:
    del s3
    for source, out in (("s3://data/in/", "s3://data/in/out/"), ("s3://data/in/a.csv", "s3://data/in/")):
        with pytest.raises(PathError, match="are one in the other"):
            score(model, source, out)
