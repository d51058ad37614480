"""Trains a model and registers it, as ``churn train`` and the job of the cluster do.

Nothing heavy is imported here before the thread counts are set, because the numerical libraries read them only
once (:mod:`training.threads`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from training.config import TrainConfig
from training.threads import limit_threads

if TYPE_CHECKING:
    from training.result import TrainResult


def quiet(_stage: str, _detail: str) -> None:
    """Report no progress."""


def train(config: TrainConfig, *, on_stage: Callable[[str, str], None] = quiet) -> TrainResult:
    """Train, evaluate, register, and stage the version unless a gate refuses it.

    Args:
        config: what to train on and how.
        on_stage: called with a stage's name and a line about it when it begins.

    Raises:
        DataError: the file has violations, all of them in the message; nothing was trained.
        RegistryError: MLflow does not answer, or refuses.
    """
    limit_threads()
    from training.stages import run  # noqa: PLC0415  # loads the libraries the line above is about

    return run(config, on_stage)
