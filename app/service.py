"""What one API process shares between its routes: the live model, the keys, the limits, the metrics, its own state."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING

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


@dataclass(kw_only=True)
class RegistryState:
    """What is known of the model registry; shown by ``/ready``."""

    reachable: bool | None = None
    last_success: float | None = None
    last_error: str | None = None
    refused: str | None = None
    moved_by_hand: str | None = None


class Service:
    """Everything injected once, and the one place where a model is swapped."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.draining = False
        self.registry = RegistryState()
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
        # Only here: the client library takes a third of the start time of a process that has no Redis.
        from app.redis_gate import RedisGate  # noqa: PLC0415 - see above

        return RedisGate(
            settings.redis_url.get_secret_value(),
            # As many as requests that may wait for it: a request without a connection would close the gate.
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
        counters = self.metrics.model
        if counters is None:
            raise ApiError(NO_MODEL, "no verified model is loaded; /ready says why", headers=[retry_after(2)])
        return counters

    def put_into_service(self, model: Model) -> None:
        """Serve this model from now on; requests that have begun finish with the one they read."""
        self.metrics.model = ModelCounters(model)
        self.metrics.model_swaps.inc()
        # What lives now lives long: out of the collector's sight, or each full collection stops every request.
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    async def close(self) -> None:
        if self.gate:
            await self.gate.close()
