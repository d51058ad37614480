"""Names that serving, training and operations share: the registered model, its aliases, and MLflow's switches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

MODEL_NAME: Final = "churn"
"""The registered model of commands and jobs that name no other."""
PRODUCTION: Final = "production"
"""Alias of the version that the API serves."""
STAGING: Final = "staging"
"""Alias of the newest version that its gates accepted."""
PREVIOUS: Final = "previous"
"""Alias of the version that was in production before."""
MAX_MODELS: Final = 16
"""How many models one API serves at most."""
_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

NO_TELEMETRY: Final = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""Environment of every process that imports MLflow: no telemetry is sent."""
MLFLOW_CLIENT: Final = NO_TELEMETRY | {"PYTHONUNBUFFERED": "1"}
"""Environment of a program that uses MLflow."""
MLFLOW_SERVER: Final = MLFLOW_CLIENT | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""Environment of an MLflow server; its job executor would be three processes that only language models need."""


def check_models(names: Sequence[str]) -> None:
    """Check the names of one API's models.

    Raises:
        ValueError: there are none or too many, one is there twice, or one cannot be the name of a model.
    """
    if not 1 <= len(names) <= MAX_MODELS or len(set(names)) < len(names):
        raise ValueError(
            f"{','.join(names)!r} does not name 1 to {MAX_MODELS} different models, as in 'churn,retention-offer'"
        )
    for name in names:
        check_model(name)


def check_model(name: str) -> str:
    """Check that a text can be the name of a registered model, and return it.

    Raises:
        ValueError: it cannot.
    """
    if not _MODEL.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a model: up to 63 letters, digits, '.', '_' and '-'")
    return name
