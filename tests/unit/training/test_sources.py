"""Sources of data: local files and S3, and the message for each way in which they can be missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import pytest
from moto.server import ThreadedMotoServer

from training.data import DataError, load
from training.truth import truth_path


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("absent.csv", "no such file"),
        (".", "no file with data in it; expected CSV, Excel or Parquet files"),
        ("*.csv", "no file with data in it"),
        ("https://example.com/a.csv", "the scheme is https://; expected a local path or s3://bucket/key"),
        ("s3://bucket", "no bucket or no object name; expected s3://bucket/key"),
        ("s3:///a.csv", "no bucket or no object name"),
    ],
)
def test_a_source_that_is_not_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        load(source)
    assert caught.value.source == source
    assert message in str(caught.value)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A client of a real HTTP server that speaks S3, with the bucket ``data``."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-credentials"),
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="data")
    yield client
    server.stop()


@pytest.mark.service
def test_s3_object_loads_like_the_file(s3: Any, customers_csv: Path, tmp_path: Path) -> None:
    s3.upload_file(str(customers_csv), "data", "in/customers.csv")
    local, remote = load(str(customers_csv)), load("s3://data/in/customers.csv")
    pd.testing.assert_frame_equal(remote.customers, local.customers)
    assert remote.source == "s3://data/in/customers.csv"
    assert remote.sha256 == local.sha256
    assert remote.truth is None
    s3.upload_file(str(truth_path(customers_csv)), "data", "in/customers.truth.json")
    assert load("s3://data/in/customers.csv").truth == local.truth
    assert not list(tmp_path.iterdir())


@pytest.mark.service
def test_s3_violations_name_the_object(s3: Any) -> None:
    s3.put_object(Bucket="data", Key="a.csv", Body=b"gender\nX\n")
    with pytest.raises(DataError) as caught:
        load("s3://data/a.csv")
    assert str(caught.value).startswith("s3://data/a.csv: ")
    assert {v.column for v in caught.value.violations} > {"contract", "churned"}


@pytest.mark.service
@pytest.mark.usefixtures("s3")
def test_a_missing_s3_object_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="no such object"):
        load("s3://data/absent.csv")
    with pytest.raises(DataError, match="no bucket 'elsewhere'"):
        load("s3://elsewhere/a.csv")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(DataError, match="no AWS credentials; expected AWS_ACCESS_KEY_ID"):
        load("s3://data/a.csv")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(DataError, match=r"S3 cannot be reached .*AWS_ENDPOINT_URL"):
        load("s3://data/a.csv")
