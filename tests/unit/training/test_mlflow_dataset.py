from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.data import Dataset, load
from training.mlflow_dataset import file_name, run_name, training_input, without_credentials


@pytest.fixture(scope="module")
def data(customers_csv: Path) -> Dataset:
    return load(str(customers_csv))


@pytest.mark.parametrize(
    ("source", "logged"),
    [
        ("customers.csv", "customers.csv"),
        ("/data/why? a #1 file@home.csv", "/data/why? a #1 file@home.csv"),
        ("s3://bucket/folder/customers.parquet", "s3://bucket/folder/customers.parquet"),
        ("s3://AKIAEXAMPLE:secret@bucket/customers.csv", "s3://bucket/customers.csv"),
        ("s3://user:p@ss@bucket/customers.csv", "s3://bucket/customers.csv"),
        ("s3://bucket/customers.csv?X-Amz-Signature=secret&X-Amz-Expires=60#secret", "s3://bucket/customers.csv"),
    ],
)
def test_a_source_is_logged_without_credentials(source: str, logged: str) -> None:
    assert without_credentials(source) == logged


def test_the_name_of_a_file_is_its_last_part() -> None:
    assert file_name("s3://user:secret@bucket/2026/customers.parquet?sig=secret") == "customers.parquet"
    assert len(file_name("x" * 200 + ".csv")) == 60


def test_a_run_is_named_after_model_file_and_rows(data: Dataset) -> None:
    assert run_name("logistic_regression", data) == "logistic_regression · customers.csv · 300 rows"


def test_the_input_describes_the_file_and_holds_no_customer(data: Dataset, customers_csv: Path) -> None:
    logged = training_input(data)
    assert [(tag.key, tag.value) for tag in logged.tags] == [("mlflow.data.context", "training")]
    dataset = logged.dataset
    assert (dataset.name, dataset.digest, dataset.source_type) == ("customers.csv", data.sha256[:8], "local")
    assert json.loads(dataset.source) == {"uri": str(customers_csv)}
    assert dataset.profile is not None
    assert dataset.schema is not None
    assert json.loads(dataset.profile) == {"num_rows": 300, "num_elements": 5700}
    columns = {column["name"]: column["type"] for column in json.loads(dataset.schema)["mlflow_colspec"]}
    assert len(columns) == 20
    assert (columns["contract"], columns["monthly_charges"], columns["churned"]) == ("string", "double", "integer")
    assert "Month-to-month" not in dataset.schema
