"""Tables in several files: folders, patterns, partitioned Parquet and prefixes in S3."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.s3 import REGION, client, environment, moto

from training import sources
from training.data import DataError, load


@pytest.fixture
def folder(tmp_path: Path, table: pd.DataFrame) -> Path:
    """300 customers in three parts of different kinds, with a file of Spark beside them."""
    root = tmp_path / "parts"
    (root / "more").mkdir(parents=True)
    table[:100].to_csv(root / "1.csv", index=False)
    (root / "2.csv.gz").write_bytes(gzip.compress(table[100:200].to_csv(index=False, sep=";").encode()))
    table[200:].to_parquet(root / "more" / "3.parquet")
    (root / "_SUCCESS").touch()
    (root / ".1.csv.crc").write_bytes(b"x")
    return root


def refused(source: str) -> str:
    with pytest.raises(DataError) as caught:
        load(source)
    return str(caught.value)


def test_a_folder_is_read_part_after_part(folder: Path, customers_csv: Path) -> None:
    whole, data = load(str(customers_csv)), load(str(folder))
    assert data.customers.equals(whole.customers)
    assert data.ids is not None
    assert whole.ids is not None
    assert data.ids.tolist() == whole.ids.tolist()
    assert data.notes == ("The file was read as gzip-compressed CSV, UTF-8, delimiter ';'.",)
    assert data.sha256 == load(str(folder)).sha256
    (folder / "1.csv").write_text((folder / "1.csv").read_text().replace("Female", "Male"))
    assert data.sha256 != load(str(folder)).sha256


def test_a_pattern_reads_what_it_matches(folder: Path) -> None:
    assert len(load(str(folder / "*.csv*")).customers) == 200
    assert len(load(str(folder / "**" / "*.parquet")).customers) == 100
    assert "no file with data" in refused(str(folder / "x*"))


def test_messages_name_the_part_and_its_row(folder: Path, table: pd.DataFrame) -> None:
    table.loc[[5, 150, 250], "gender"] = "X"
    table[:100].to_csv(folder / "1.csv", index=False)
    (folder / "2.csv.gz").write_bytes(gzip.compress(table[100:200].to_csv(index=False).encode() + b"a,b\n"))
    table[200:].to_parquet(folder / "more" / "3.parquet")
    message = refused(str(folder))
    rows = "gender: rows 6 of 1.csv, 51 of 2.csv.gz, 51 of more/3.parquet (lines 7, 52): 'X'"
    assert rows in message
    assert "(file): row 101 of 2.csv.gz (line 102): '2 fields'" in message


def test_parts_must_have_the_same_columns(folder: Path, table: pd.DataFrame) -> None:
    table[200:].drop(columns="gender").assign(x=1).to_parquet(folder / "more" / "3.parquet")
    message = refused(str(folder))
    assert "more/3.parquet has no column gender and has the extra column x, unlike 1.csv" in message


def test_a_part_with_another_type_is_named(tmp_path: Path, table: pd.DataFrame) -> None:
    table[:100].assign(tenure_months=1).to_parquet(tmp_path / "1.parquet")
    table[100:].assign(tenure_months=pd.Timestamp("2026-01-01")).to_parquet(tmp_path / "2.parquet")
    assert "2.parquet has tenure_months as timestamp" in refused(str(tmp_path))


def test_a_part_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "2.csv.gz").write_bytes(b"PAR1 no")
    assert "(file): 2.csv.gz: unreadable" in refused(str(folder))
    (folder / "1.csv").write_bytes(b"%PDF-1.7")
    assert "(file): 1.csv: the content is PDF" in refused(str(folder))


def test_what_could_be_read_two_ways_names_the_part(folder: Path, table: pd.DataFrame) -> None:
    table[:100].assign(total_charges="1.854").to_csv(folder / "1.csv", index=False)
    assert "total_charges: 1.csv: '1.854' in row 1 is 1.854 or 1854" in refused(str(folder))


def test_partitioned_parquet_has_the_columns_of_its_folders(
    tmp_path: Path, customers_csv: Path, table: pd.DataFrame
) -> None:
    table.to_parquet(tmp_path / "hive", partition_cols=["contract", "senior_citizen"])
    data, whole = load(str(tmp_path / "hive")), load(str(customers_csv))
    assert data.ids is not None
    assert whole.ids is not None
    ordered = data.customers.set_index(data.ids.to_numpy()).sort_index()
    assert ordered.equals(whole.customers.set_index(whole.ids.to_numpy()).sort_index())


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[str]:
    """A prefix on a real HTTP server that speaks S3, with the same parts."""
    bucket = folder.parent.name.replace("_", "-")
    with moto() as url:
        for name, value in environment(url).items():
            monkeypatch.setenv(name, value)
        client(url).create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        for path in folder.rglob("*"):
            if path.is_file():
                client(url).upload_file(str(path), bucket, f"day/{path.relative_to(folder)}")
        yield f"s3://{bucket}/day/"


def test_a_prefix_in_s3_is_downloaded_part_after_part(
    s3: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "copies"))
    (tmp_path / "copies").mkdir()
    data, local = load(s3), load(str(folder))
    assert data.customers.equals(local.customers)
    assert data.sha256 == local.sha256
    assert not list((tmp_path / "copies").iterdir())
    assert "no file with data" in refused(s3.replace("day", "other"))
    assert "no bucket 'absent'" in refused("s3://absent/day/")


def test_only_one_part_is_on_disk_at_a_time(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(copies))
    most = 0
    new_client = sources.new_client

    def counted() -> Any:
        nonlocal most
        most = max(most, len([path for path in copies.rglob("*") if path.is_file()]))
        return new_client()

    monkeypatch.setattr(sources, "new_client", counted)
    assert len(load(s3).customers) == 300
    assert most == 0  # counted before each download
