"""The result of a training run, and the report of its progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from app.bundle import GateResult
from training.config import VersionType
from training.evaluate import Metric
from training.pipeline import CrossValidation

OnStage = Callable[[str, str], None]
"""Called when a stage begins, with its name and a line about it."""


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """The outcome of a run. ``staged`` is False if a gate refused the version; ``gates`` says which and by how much.

    ``warnings`` says what looks odd in the data, in sentences. The first of ``cross_validation`` is that of the model,
    with the hyper-parameters that a search found; ``trials`` counts its trials.
    """

    version: str
    run_id: str
    model_type: VersionType
    rows: int
    metrics: dict[str, Metric]
    cross_validation: tuple[CrossValidation, ...]
    gates: tuple[GateResult, ...]
    staged: bool
    warnings: tuple[str, ...]
    seconds: dict[str, float]
    trials: int = 0


@dataclass
class Progress:
    """Announces each stage and measures how long it takes; a stage that is entered again goes on with another line."""

    on_stage: OnStage
    seconds: dict[str, float] = field(default_factory=dict)
    _current: str = ""
    _since: float = 0.0

    def enter(self, stage: str, detail: str) -> None:
        if stage != self._current:
            self.leave()
            self._current, self._since = stage, time.perf_counter()
        self.on_stage(stage, detail)

    def leave(self) -> None:
        if self._current:
            self.seconds[self._current] = time.perf_counter() - self._since
            self._current = ""
