"""What one API process shares between its routes: live model, registry state, keys, limits and metrics."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from app.batcher import Batcher
from app.cache import PredictionCache
from app.errors import NO_MODEL, ApiError, retry_after
from app.metrics import Metrics, ModelCounters
from app.model import Model
from app.ratelimit import RateLimiter
from app.security import KeyStore
from app.settings import Settings

if TYPE_CHECKING:
    from app.redis_gate import RedisGate


class RegistryReport(BaseModel):
    """What is known of the model registry."""

    reachable: bool | None = Field(description="null before the first look-up, and for a local folder.")
    last_success: float | None = Field(description="Unix time of its last answer.")
    last_error: str | None
    refused: str | None = Field(description="The version, or the local copy, that was refused, and why.")
    moved_by_hand: str | None = Field(
        description="The version that the alias was moved to outside of `churn`; null if `churn` put it there."
    )


class Service:
    """Everything injected once, and the one place where a model is swapped.

    ``live`` is the model that serves now, with its counters; ``registry`` is what ``/ready`` reports of the registry,
    kept up to date by :mod:`app.follower`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.live: ModelCounters | None = None
        self.registry = RegistryReport(
            reachable=None, last_success=None, last_error=None, refused=None, moved_by_hand=None
        )
        self.metrics = Metrics(lambda: self.live, lambda: self.registry.last_success)
        self.draining = False
        self.gate = self._redis_gate()
        self.keys = KeyStore(settings.api_keys_file) if settings.auth == "required" and settings.api_keys_file else None
        self.limiter = RateLimiter(settings.rate_limit, self.metrics, self.gate)
        self.cache = (
            PredictionCache(self.gate, self.metrics, settings.cache_ttl_seconds)
            if self.gate and settings.prediction_cache
            else None
        )
        self.batcher = Batcher()
        self.metrics.keys_valid.set(1)

    def _redis_gate(self) -> RedisGate | None:
        settings = self.settings
        if settings.redis_url is None:
            return None
        # Imported here: the client library takes a third of the start time of a process without Redis.
        from app.redis_gate import RedisGate  # noqa: PLC0415 - see above

        return RedisGate(
            settings.redis_url.get_secret_value(),
            # One for each request that may wait for it: a request that gets no connection would close the gate.
            connections=settings.max_concurrency,
            timeout_seconds=settings.redis_timeout_seconds,
            retry_seconds=settings.redis_retry_seconds,
            up=self.metrics.redis_up,
        )

    @property
    def counters(self) -> ModelCounters:
        """The live model with its counters, read once per request so that an answer never mixes two versions.

        Raises:
            ApiError: no verified model is loaded yet.
        """
        counters = self.live
        if counters is None:
            raise ApiError(NO_MODEL, "no verified model is loaded; /ready says why", headers=[retry_after(2)])
        return counters

    def put_into_service(self, model: Model) -> None:
        """Serve this model from now on; requests already begun finish with the model they read."""
        self.live = ModelCounters(model)
        self.metrics.model_swaps.inc()
        # What exists now lives long: keep it out of the collector's sight, or each full collection stops every request.
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    async def close(self) -> None:
        if self.gate:
            await self.gate.close()
