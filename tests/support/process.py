"""An API process reduced to its model: what it serves, keeps on disk and reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.fake_mlflow import FakeMlflow

from app.follower import Follower
from app.service import Service
from app.settings import Settings


class Process:
    """One API process without its routes; ``cache`` is its disk, which outlives it."""

    def __init__(self, mlflow: FakeMlflow, cache: Path, **more: Any) -> None:
        self.settings = Settings(auth="off", model_cache_dir=cache, log_requests=False, **more)
        self.service = Service(self.settings)
        self.follower = Follower(self.service, lambda: mlflow.registry(self.settings))
        self.cache = cache

    @property
    def live(self) -> tuple[str, str] | None:
        """Version and source of the model that serves."""
        counters = self.service.live
        return (counters.model.origin.version, counters.model.origin.source) if counters else None

    def value(self, name: str) -> float | None:
        """The value of a metric without labels."""
        return self.service.metrics.registry.get_sample_value(name)

    @property
    def copies(self) -> set[str]:
        """Versions on disk."""
        return {p.name.partition("-")[0] for p in self.cache.iterdir() if p.is_dir()}
