"""Optional cache of single predictions in Redis or Valkey.

The key is a digest of the coded input and the version and manifest of the model that scored it, so a new model never
sees an old score and no feature value can be read from Redis. Batches are not cached: scoring them is cheaper than
looking them up.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.metrics import Metrics
from app.model import Model

if TYPE_CHECKING:
    from app.redis_gate import RedisGate  # at run time it is imported only if there is a Redis

_SCORE = struct.Struct("<d")


class PredictionCache:
    """Scores by model and input; every failure is a miss."""

    def __init__(self, gate: RedisGate, metrics: Metrics, ttl_seconds: int) -> None:
        self._gate = gate
        self._ttl = ttl_seconds
        self._hits = metrics.cache.labels("hit")
        self._misses = metrics.cache.labels("miss")
        self._off = metrics.cache.labels("off")

    @staticmethod
    def key(model: Model, coded: Sequence[float]) -> str:
        """The cache key of one coded customer under one model."""
        digest = hashlib.blake2b(
            struct.pack(f"<{len(coded)}d", *coded), digest_size=16, key=model.fingerprint
        ).hexdigest()
        return f"churn-score:{model.origin.version}:{digest}"

    async def get(self, key: str) -> float | None:
        """The stored score, or None."""
        stored = await self._gate.call(lambda: self._gate.client.mget([key]))
        if stored is None:
            self._off.inc()
            return None
        score = _stored(stored[0])
        (self._misses if score is None else self._hits).inc()
        return score

    async def put(self, key: str, score: float) -> None:
        await self._gate.call(lambda: self._gate.client.set(key, _SCORE.pack(score), ex=self._ttl))


def _stored(value: object) -> float | None:
    """Decode a score as :meth:`PredictionCache.put` writes it; None for a missing or any other value."""
    if not isinstance(value, bytes) or len(value) != _SCORE.size:
        return None
    score: float = _SCORE.unpack(value)[0]
    return score if 0 <= score <= 1 else None
