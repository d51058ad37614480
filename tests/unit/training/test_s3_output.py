"""Output files on S3, with a real HTTP server that speaks its protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.s3 import client as s3_client
from support.s3 import environment, moto

from training.data import load
from training.files import PathError
from training.generate import write
from training.outputs import delivered
from training.truth import GeneratorConfig


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A client, with the bucket ``data``."""
    with moto() as url:
        for name, value in environment(url).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        client = s3_client(url, region="us-east-1")
        client.create_bucket(Bucket="data")
        yield client


def keys(s3: Any) -> list[str]:
    return sorted(entry["Key"] for entry in s3.list_objects_v2(Bucket="data").get("Contents", ()))


def test_generated_customers_and_their_truth_are_written_and_load_again(s3: Any) -> None:
    truth = write(GeneratorConfig(rows=200), "s3://data/folder/a.parquet")
    assert keys(s3) == ["folder/a.parquet", "folder/a.truth.json"]
    data = load("s3://data/folder/a.parquet")
    assert data.truth == truth


def test_an_object_is_replaced_only_on_request(s3: Any, tmp_path: Path) -> None:
    s3.put_object(Bucket="data", Key="a.csv", Body=b"old")
    with (
        pytest.raises(PathError, match=r"s3://data/a\.csv: it exists already"),
        delivered("s3://data/a.csv", overwrite=False),
    ):
        pytest.fail("the work began")
    with delivered("s3://data/a.csv", overwrite=True) as path:
        path.write_bytes(b"new")
    assert s3.get_object(Bucket="data", Key="a.csv")["Body"].read() == b"new"
    assert not list(tmp_path.iterdir())


def test_an_error_midway_uploads_nothing_and_leaves_nothing(
    s3: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ZeroDivisionError), delivered("s3://data/a.csv", overwrite=True) as path:
        path.write_bytes(b"h" * (1 // 0))
    assert not keys(s3)
    assert not list(tmp_path.iterdir())


def test_a_missing_bucket_is_reported_before_the_work(s3: Any) -> None:
    del s3
    with (
        pytest.raises(PathError, match=r"s3://absent/a\.csv: no bucket 'absent'"),
        delivered("s3://absent/a.csv", overwrite=False),
    ):
        pytest.fail("the work began")


def test_missing_credentials_are_reported(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    del s3
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(PathError, match="no AWS credentials"), delivered("s3://data/a.csv", overwrite=False):
        pytest.fail("the work began")


def test_an_unreachable_s3_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment("http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PathError, match="S3 cannot be reached"), delivered("s3://data/a.csv", overwrite=False):
        pytest.fail("the work began")
