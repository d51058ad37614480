"""Trains on a small file of customers into a real MLflow server, and reads back what a run left there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mlflow import MlflowClient

from training.config import TrainConfig
from training.generate import write
from training.truth import GeneratorConfig

GATES: Final = ["parity", "skill", "duplicates", "leak", "calibration", "regression"]


def write_customers(path: Path) -> Path:
    """Write 3,000 generated customers to a Parquet file."""
    write(GeneratorConfig(rows=3000, seed=5), path)
    return path


def config(source: Path, server: str, name: str, **changes: object) -> TrainConfig:
    """Settings of a quick run that registers the model ``name``."""
    fields = {"source": str(source), "tracking_uri": server, "model_name": name, "bootstrap_count": 100}
    return TrainConfig.model_validate(fields | changes)


def aliases(server: str, name: str) -> dict[str, str]:
    """Versions by alias."""
    return {k: str(v) for k, v in MlflowClient(server).get_registered_model(name).aliases.items()}


def stage_of(server: str, name: str, version: str) -> str:
    """The stage that the tag of a version names."""
    return str(MlflowClient(server).get_model_version(name, version).tags["stage"])
