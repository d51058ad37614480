"""``POST /v1/predict`` and ``POST /v1/predict/batch``: raw bytes in, ready bytes out.

These are ASGI endpoints and not FastAPI functions: dependency injection and response models would take longer than
validation and scoring together. :mod:`app.openapi` documents them by :mod:`app.shapes`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import orjson
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from app.coding import Row
from app.contract import Features
from app.errors import BODY_TOO_LARGE, REQUEST_TIMEOUT, UNSUPPORTED_MEDIA, ApiError
from app.live import Live
from app.model import Model
from app.parsing import wants_explanation
from app.served import ServedModel
from app.service import Service

_JSON_HEADERS: Final = ((b"content-type", b"application/json"),)
_MAX_LENGTH_DIGITS: Final = 18
"""No body has a longer Content-Length, and int() refuses thousands of digits."""


async def _next_part(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect  # what has come so far may be complete JSON, but it is not what the client meant to send
    return message


class _BodyReader:
    """Reads request bodies within the limits of size and time."""

    def __init__(self, max_bytes: int, timeout_seconds: float) -> None:
        self._max = max_bytes
        self._timeout = timeout_seconds

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """Return the whole body of a JSON request.

        Raises:
            ApiError: not JSON by its headers, too large, or too slow.
            ClientDisconnect: the client left before the end of the body.
        """
        self._check_headers(scope)
        try:
            async with asyncio.timeout(self._timeout):
                message = await _next_part(receive)
                if not message.get("more_body"):
                    return self._checked(message.get("body", b""))
                chunks = bytearray(message.get("body", b""))
                while message.get("more_body"):
                    message = await _next_part(receive)
                    chunks += message.get("body", b"")
                    self._checked(chunks)
                return bytes(chunks)
        except TimeoutError:
            raise ApiError(REQUEST_TIMEOUT, f"the body took longer than {self._timeout:g} s") from None

    def _checked(self, body: bytes | bytearray) -> bytes:
        if len(body) > self._max:
            raise self._too_large()
        return body  # type: ignore[return-value]  # callers that need bytes pass bytes

    def _too_large(self) -> ApiError:
        return ApiError(BODY_TOO_LARGE, f"the body is larger than {self._max} bytes; send several smaller batches")

    def _check_headers(self, scope: Scope) -> None:
        media = b""
        for name, value in scope["headers"]:
            if name == b"content-type":
                media = value
            elif name == b"content-length" and value.isdigit():
                if len(value) > _MAX_LENGTH_DIGITS or int(value) > self._max:
                    raise self._too_large()
            elif name == b"content-encoding" and value.lower() != b"identity":
                raise ApiError(UNSUPPORTED_MEDIA, "compressed bodies are not accepted: send none with Content-Encoding")
        if media != b"application/json" and media.partition(b";")[0].strip().lower() != b"application/json":
            raise ApiError(UNSUPPORTED_MEDIA, "send the header 'Content-Type: application/json'")


async def _respond(send: Send, body: bytes) -> None:
    headers = [*_JSON_HEADERS, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Endpoint:
    def __init__(self, service: Service, served: ServedModel) -> None:
        self._service = service
        self._served = served
        settings = service.settings
        self._reader = _BodyReader(settings.max_body_bytes, settings.body_timeout_seconds)


class PredictOne(_Endpoint):
    """Scores one customer; ``?explain=true`` adds each feature's contribution."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        explain = wants_explanation(scope["query_string"])
        body = await self._reader.read(scope, receive)
        live = self._served.current
        row = live.parser.one(body)
        model = live.model
        coded = model.coder.one(row)
        score = await self._score(model, coded)
        decision, band = model.thresholds.decide(score)
        live.counters.add(coded, score, decision, band)
        self._count(live, coded, high=band == "high")
        answer: dict[str, Any] = {
            live.key: row.get(live.key),
            "churn_probability": score,
            "decision": decision,
            "risk_band": band,
            "threshold": model.manifest.threshold,
            "model_version": model.origin.version,
        }
        if explain:
            answer["explanation"] = model.explain(np.array((coded,), dtype=np.float32))
        await _respond(send, orjson.dumps(answer))

    def _count(self, live: Live, coded: Sequence[float], *, high: bool) -> None:
        metrics = self._served.metrics
        if live.money is not None:
            money = coded[live.money]
            metrics.revenue(money, money if high else 0.0)
        if high:
            metrics.high_risk.inc()

    async def _score(self, model: Model, coded: Sequence[float]) -> float:
        cache, batcher = self._service.cache, self._service.batcher
        if cache is None:
            return await batcher.score(model, coded)
        key = cache.key(model, coded)
        score = await cache.get(key)
        if score is None:
            score = await batcher.score(model, coded)
            await cache.put(key, score)
        return score


class PredictBatch(_Endpoint):
    """Scores up to MAX_BATCH_ROWS customers with one version, in their order."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._reader.read(scope, receive)
        live = self._served.current
        rows = live.parser.many(body)
        model = live.model
        features = model.coder.many(rows)
        scores = model.score(features)
        values: list[float] = scores.tolist()
        decisions, bands = model.thresholds.decide_all(scores)
        live.counters.add_many(features, scores, decisions, bands)
        self._count(live, features, bands)
        answer = {
            "model_version": model.origin.version,
            "threshold": model.manifest.threshold,
            "count": len(values),
            "predictions": _predictions(live.key, rows, values, decisions, bands),
        }
        await _respond(send, orjson.dumps(answer))

    def _count(self, live: Live, features: Features, bands: list[str]) -> None:
        metrics = self._served.metrics
        if live.money is not None:
            money: list[float] = features[:, live.money].tolist()
            metrics.revenue(sum(money), sum([m for m, band in zip(money, bands, strict=True) if band == "high"]))
        metrics.high_risk.inc(bands.count("high"))
        metrics.batch_rows.observe(len(bands))


def _predictions(
    key: str, rows: list[Row], scores: list[float], decisions: list[str], bands: list[str]
) -> list[dict[str, Any]]:
    return [
        {key: row.get(key), "churn_probability": score, "decision": decision, "risk_band": band}
        for row, score, decision, band in zip(rows, scores, decisions, bands, strict=True)
    ]
