"""Names that serving, training and operations share: the registered model, its aliases, and MLflow's switches."""

from __future__ import annotations

from typing import Final

MODEL_NAME: Final = "churn"
"""The registered model."""
PRODUCTION: Final = "production"
"""Alias of the version that the API serves."""
STAGING: Final = "staging"
"""Alias of the newest version that its gates accepted."""
PREVIOUS: Final = "previous"
"""Alias of the version that was in production before."""

NO_TELEMETRY: Final = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""Environment of every process that imports MLflow: no telemetry is sent."""
MLFLOW_CLIENT: Final = NO_TELEMETRY | {"PYTHONUNBUFFERED": "1"}
"""Environment of a program that uses MLflow."""
MLFLOW_SERVER: Final = MLFLOW_CLIENT | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""Environment of an MLflow server; its job executor would be three processes that only language models need."""
