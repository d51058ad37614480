"""What one API process shares between its routes: live model, registry state, keys, limits and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from app import paths
from app.batcher import Batcher
from app.cache import PredictionCache
from app.metrics import Metrics, ModelCounters
from app.model_metrics import SeriesBudget
from app.paths import ModelPaths
from app.ratelimit import RateLimiter
from app.security import KeyStore
from app.served import ServedModel
from app.settings import Settings

if TYPE_CHECKING:
    from app.redis_gate import RedisGate


class Service:
    """Everything injected once; ``models`` are the models of the API by name, the default one first."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.models: dict[str, ServedModel] = {}
        self.metrics = Metrics(self._counters)
        budget = SeriesBudget(settings.max_series)
        for name in settings.model_names:
            self.models[name] = ServedModel(name, self.metrics, settings.max_batch_rows, budget)
        self.default = next(iter(self.models.values()))
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

    def _counters(self) -> dict[str, ModelCounters]:
        return {name: served.live.counters for name, served in self.models.items() if served.live}

    async def close(self) -> None:
        if self.gate:
            await self.gate.close()


def served_paths(service: Service) -> Iterator[tuple[ServedModel, ModelPaths]]:
    """Each model with its paths; the default model also has the short ones."""
    yield service.default, paths.DEFAULT
    for served in service.models.values():
        yield served, paths.of_model(served.name)
