"""``POST /v1/predict`` and ``POST /v1/predict/batch``: raw bytes in, ready bytes out.

These are ASGI endpoints and not FastAPI functions: dependency injection and response models would take longer than
validation and scoring together. :mod:`app.openapi` documents them from the models at the end of this file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import numpy as np
import orjson
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from app.errors import BODY_TOO_LARGE, REQUEST_TIMEOUT, UNSUPPORTED_MEDIA, ApiError
from app.explain import Explained
from app.model import Model
from app.parsing import Parser, Row, encode_one, wants_explanation
from app.schemas import EXAMPLE, FEATURE_NAMES, ID_COLUMN, Customer, Features, encode
from app.service import Service

_JSON_HEADERS: Final = ((b"content-type", b"application/json"),)
_CHARGES: Final = FEATURE_NAMES.index("monthly_charges")
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
    def __init__(self, service: Service, parser: Parser) -> None:
        self._service = service
        self._parser = parser
        settings = service.settings
        self._reader = _BodyReader(settings.max_body_bytes, settings.body_timeout_seconds)


class PredictOne(_Endpoint):
    """Scores one customer; ``?explain=true`` adds each feature's contribution."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        explain = wants_explanation(scope["query_string"])
        row = self._parser.one(await self._reader.read(scope, receive))
        coded = encode_one(row)
        counters = self._service.counters
        model = counters.model
        score = await self._score(model, coded)
        decision, band = model.thresholds.decide(score)
        charges = row["monthly_charges"]
        high = band == "high"
        counters.add(coded, score, decision, band)
        self._service.metrics.revenue(charges, charges if high else 0.0, int(high))
        answer: dict[str, Any] = {
            "customer_id": row.get(ID_COLUMN),
            "churn_probability": score,
            "decision": decision,
            "risk_band": band,
            "threshold": model.manifest.threshold,
            "model_version": model.origin.version,
        }
        if explain:
            answer["explanation"] = model.explain(np.array((coded,), dtype=np.float32))
        await _respond(send, orjson.dumps(answer))

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
    """Scores up to MAX_BATCH_ROWS customers with one model, in their order."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rows = self._parser.many(await self._reader.read(scope, receive))
        features = encode(rows)
        counters = self._service.counters
        model = counters.model
        scores = model.score(features)
        values: list[float] = scores.tolist()
        decisions, bands = model.thresholds.decide_all(scores)
        counters.add_many(features, scores, decisions, bands)
        self._count(features, bands)
        answer = {
            "model_version": model.origin.version,
            "threshold": model.manifest.threshold,
            "count": len(values),
            "predictions": _predictions(rows, values, decisions, bands),
        }
        await _respond(send, orjson.dumps(answer))

    def _count(self, features: Features, bands: list[str]) -> None:
        charges: list[float] = features[:, _CHARGES].tolist()
        at_risk = [c for c, band in zip(charges, bands, strict=True) if band == "high"]
        self._service.metrics.revenue(sum(charges), sum(at_risk), len(at_risk))
        self._service.metrics.batch_rows.observe(len(bands))


def _predictions(rows: list[Row], scores: list[float], decisions: list[str], bands: list[str]) -> list[dict[str, Any]]:
    return [
        {"customer_id": row.get(ID_COLUMN), "churn_probability": score, "decision": decision, "risk_band": band}
        for row, score, decision, band in zip(rows, scores, decisions, bands, strict=True)
    ]


# The shapes of the answers, for the OpenAPI page and for clients.

_Probability = Annotated[float, Field(ge=0, le=1, description="Probability that the customer leaves.")]
_Decision = Annotated[
    Literal["churn", "stay"], Field(description="'churn' at or above the threshold that the cost model chose.")
]
_Band = Annotated[Literal["low", "medium", "high"], Field(description="Band of the probability.")]


class Prediction(BaseModel):
    """One customer's prediction."""

    customer_id: str | None
    churn_probability: _Probability
    decision: _Decision
    risk_band: _Band


class SinglePrediction(Prediction):
    """The answer of ``POST /v1/predict``."""

    threshold: float
    model_version: str
    explanation: Explained | None = Field(default=None, description="Only with ?explain=true.")


class BatchRequest(BaseModel):
    """Customers to be scored together."""

    customers: list[Customer] = Field(examples=[[dict(EXAMPLE)]])


class BatchPrediction(BaseModel):
    """The answer of ``POST /v1/predict/batch``: predictions in the order of the request."""

    model_version: str
    threshold: float
    count: int
    predictions: list[Prediction]
