"""Registers a model that was trained elsewhere: from a file to a version that passed the same gates as any other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from training.config import RegisterConfig
from training.threads import limit_threads
from training.train import quiet

if TYPE_CHECKING:
    from training.result import TrainResult


def register(config: RegisterConfig, *, on_stage: Callable[[str, str], None] = quiet) -> TrainResult:
    """Check, judge and register the model, and stage the version unless a gate refuses it.

    Args:
        config: which model, which customers, and how it is judged.
        on_stage: called with a stage's name and a line about it when it begins.

    Raises:
        ForeignModelError: the model or its golden rows do not fit; nothing was registered.
        DataError: the file of customers has violations, all of them in the message; nothing was registered.
        RegistryError: MLflow does not answer, or refuses.
    """
    limit_threads()
    from training.foreign_stages import run  # noqa: PLC0415  # loads the libraries the line above is about

    return run(config, on_stage)
