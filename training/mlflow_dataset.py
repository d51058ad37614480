"""A training file as MLflow's pages show it: name, digest, columns and number of rows, but none of its values."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Final
from urllib.parse import urlsplit

from mlflow.entities import Dataset as MlflowDataset
from mlflow.entities import DatasetInput, InputTag
from mlflow.types import ColSpec, DataType, Schema
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from training.config import VersionType
from training.data import Dataset
from training.files import S3, is_s3

_DIGEST_LENGTH: Final = 8
"""Characters of the file's sha256 to show, as long as MLflow's own digests; the tag ``dataset_sha256`` has all of
it."""
_NAME_MAX: Final = 60


def without_credentials(source: str) -> str:
    """Return a path unchanged, and an address without user, password or signature."""
    if "://" not in source:
        return source
    parts = urlsplit(source)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def file_name(source: str) -> str:
    """The last part of a path or an address, at most 60 characters."""
    return PurePath(without_credentials(source)).name[:_NAME_MAX]


def run_name(model_type: VersionType, data: Dataset) -> str:
    """Name of a run after model and data, such as ``logistic_regression · customers.csv · 10,000 rows``."""
    return f"{model_type} · {file_name(data.source)} · {len(data.customers):,} rows"


def training_input(data: Dataset, context: str = "training") -> DatasetInput:
    """The file as the input of a run, built from known facts, since MLflow's own function reads every value.

    Args:
        context: what it was used for, in a word.
    """
    source = without_credentials(data.source)
    contract = data.contract
    columns = [ColSpec(DataType.string if f.is_category else DataType.double, f.name) for f in contract.features]
    schema = Schema([*columns, ColSpec(DataType.integer, contract.label.name)])
    dataset = MlflowDataset(
        name=file_name(data.source),
        digest=data.sha256[:_DIGEST_LENGTH],
        source_type=S3 if is_s3(source) else "local",
        source=json.dumps({"uri": source}),
        schema=json.dumps({"mlflow_colspec": schema.to_dict()}),
        profile=json.dumps({"num_rows": len(data.customers), "num_elements": data.customers.size}),
    )
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, context)])
