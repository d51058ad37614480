"""An API process reduced to its model: what it serves, keeps on disk and reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.fake_mlflow import FakeMlflow

from app.follower import Follower
from app.service import Service
from app.settings import Settings


class Process:
    """One API process without its routes; ``disk`` outlives it, with the local copies in ``cache``."""

    def __init__(self, mlflow: FakeMlflow, cache: Path, **more: Any) -> None:
        self.settings = Settings(auth="off", model_cache_dir=cache, log_requests=False, **more)
        self.service = Service(self.settings)
        served = self.service.default
        self.follower = Follower(served, self.settings, lambda: mlflow.registry(self.settings))
        self.disk = cache
        self.cache = cache / served.name

    @property
    def live(self) -> tuple[str, str] | None:
        """Version and source of the model that serves."""
        live = self.service.default.live
        return (live.model.origin.version, live.model.origin.source) if live else None

    def value(self, name: str) -> float | None:
        """The value of a metric of the model."""
        return self.service.metrics.registry.get_sample_value(name, {"model": self.service.default.name})

    @property
    def copies(self) -> set[str]:
        """Versions on disk."""
        return {p.name.partition("-")[0] for p in self.cache.iterdir() if p.is_dir()}
