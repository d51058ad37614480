"""One model of the API: the version that serves now, and what is known of its registry."""

from __future__ import annotations

import gc

from pydantic import BaseModel, Field

from app.errors import NO_MODEL, ApiError, retry_after
from app.live import Live, prepare
from app.metrics import Metrics
from app.model import Model
from app.model_metrics import SeriesBudget


class RegistryReport(BaseModel):
    """What is known of the model registry."""

    reachable: bool | None = Field(description="null before the first look-up, and for a local folder.")
    last_success: float | None = Field(description="Unix time of its last answer.")
    last_error: str | None
    refused: str | None = Field(description="The version, or the local copy, that was refused, and why.")
    moved_by_hand: str | None = Field(
        description="The version that the alias was moved to outside of `churn`; null if `churn` put it there."
    )


class ServedModel:
    """A model by the name under which requests reach it, and the one place where its versions are swapped."""

    def __init__(self, name: str, metrics: Metrics, max_rows: int, budget: SeriesBudget) -> None:
        self.name = name
        self.live: Live | None = None
        """What serves now; None until a version was verified."""
        self.registry = RegistryReport(
            reachable=None, last_success=None, last_error=None, refused=None, moved_by_hand=None
        )
        """What ``/ready`` reports of the registry, kept up to date by :mod:`app.follower`."""
        self.tried = False
        """Whether a first look-up has ended, well or not."""
        self.metrics = metrics.of_model(name, lambda: self.registry.last_success)
        self._max_rows = max_rows
        self._budget = budget

    @property
    def current(self) -> Live:
        """What serves now, read once per request so that an answer never mixes two versions.

        Raises:
            ApiError: no verified version is loaded yet.
        """
        live = self.live
        if live is None:
            detail = f"no verified version of model {self.name} is loaded; /ready says why"
            raise ApiError(NO_MODEL, detail, headers=[retry_after(2)])
        return live

    def prepare(self, model: Model) -> Live:
        """Compile what serves a version, before it is put into service.

        Raises:
            BundleError: all models together would have too many series in Prometheus.
        """
        live = prepare(model, self._max_rows, self.live)
        self._budget.reserve(self.name, live.counters.series)
        return live

    def put_into_service(self, live: Live) -> None:
        """Serve this version from now on; requests already begun finish with the one they read."""
        self.live = live
        self.metrics.swaps.inc()
        # What exists now lives long: keep it out of the collector's sight, or each full collection stops every request.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
