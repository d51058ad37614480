"""The outermost layer, plain ASGI: request ids, admission, API keys, rates, errors, metrics and the request log.

It is one layer instead of six because each middleware of the framework takes as long as a prediction. The routes behind
it only do HTTP; whatever they raise becomes a problem of the catalogue here.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from time import perf_counter
from typing import Final

from prometheus_client import Counter
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.cors import PREFLIGHT, AllowedOrigins
from app.errors import (
    BY_STATUS,
    FORBIDDEN,
    INTERNAL,
    MEDIA_TYPE,
    NOT_FOUND,
    OVERLOADED,
    RATE_LIMITED,
    UNAUTHORIZED,
    ApiError,
    retry_after,
)
from app.logs import RequestLog
from app.paths import UNKNOWN, Rule, rules
from app.security import ANYBODY, Principal
from app.service import Service

log = logging.getLogger("app")

METHODS: Final = frozenset({"GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_BEARER: Final = b"bearer "


@dataclass(slots=True)
class _Exchange:
    """One request in progress: what the answer, the metrics and the log need to know."""

    rule: Rule
    method: str
    started: float
    request_id: str = "-"
    key: bytes | None = None
    client: str = "-"
    status: int = 0


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(
        self, app: ASGIApp, service: Service, raw: Mapping[str, ASGIApp], origins: AllowedOrigins | None = None
    ) -> None:
        """Wrap ``app``; a POST to a path of ``raw`` goes straight to that endpoint, a preflight of ``origins`` nowhere.

        The framework would only reach the same endpoint, after a tenth of the time that a prediction takes.
        """
        self._app = app
        self._raw = raw
        self._service = service
        self._metrics = service.metrics
        self._log = RequestLog(sys.stdout.buffer if service.settings.log_requests else None)
        self._origins = origins
        self._busy = 0
        self._limit = service.settings.max_concurrency
        self._ids = map((secrets.token_hex(6) + "-{:x}").format, itertools.count(1))
        self._requests: dict[tuple[str, str, int], Counter] = {}
        self._rules = rules(service.settings.model_names)
        routes = {rule.route for rule in (*self._rules.values(), UNKNOWN)}
        self._latency = {route: self._metrics.latency.labels(route) for route in routes}
        self._in_flight = {route: self._metrics.in_flight.labels(route) for route in routes}
        self._auth = {o: self._metrics.auth.labels(o) for o in ("accepted", "missing", "invalid", "forbidden")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = self._open(scope)
        in_flight = self._in_flight[exchange.rule.route]
        in_flight.inc()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                headers = message["headers"]
                headers.append((b"x-request-id", exchange.request_id.encode()))
                if self._service.draining:
                    headers.append((b"connection", b"close"))
            await send(message)

        try:
            await self._handle(exchange, scope, receive, answer)
        except ApiError as error:
            await _send_problem(answer, error, exchange)
        except ClientDisconnect:
            pass  # nobody is there to answer; counted as 499
        except HTTPException as error:
            await _send_problem(answer, _translate(error), exchange)
        except Exception:
            log.exception("request %s failed", exchange.request_id)
            if exchange.status:
                raise  # the answer has begun: only closing the connection can tell the client
            await _send_problem(answer, ApiError(INTERNAL, "the failure is in the server's log"), exchange)
        finally:
            in_flight.dec()
            self._close(exchange)

    def _open(self, scope: Scope) -> _Exchange:
        method = scope["method"]
        exchange = _Exchange(
            self._rules.get(scope["path"], UNKNOWN), method if method in METHODS else "other", perf_counter()
        )
        for name, value in scope["headers"]:
            if name == b"x-api-key":
                exchange.key = value
            elif name == b"authorization" and exchange.key is None and value[: len(_BEARER)].lower() == _BEARER:
                exchange.key = value[len(_BEARER) :]
            elif name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                exchange.request_id = value.decode()
        if exchange.request_id == "-":
            exchange.request_id = next(self._ids)
        return exchange

    async def _handle(self, exchange: _Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        rule = exchange.rule
        if rule is UNKNOWN:
            # Never passed on: the router accepts more spellings of a path than the rules, with a line end
            # or a slash after it, and would serve or redirect them without a key.
            raise ApiError(NOT_FOUND, NOT_FOUND.title)
        if self._origins is not None and self._origins.ask(scope):
            await send({"type": "http.response.start", "status": 204, "headers": [*PREFLIGHT]})
            await send({"type": "http.response.body", "body": b""})
            return
        if not rule.weight:
            if rule.scopes:
                self._authorize(exchange)
            await self._app(scope, receive, send)
            return
        if self._busy >= self._limit:
            raise ApiError(OVERLOADED, "too many requests are in progress; try again", headers=[retry_after(1)])
        self._busy += rule.weight
        try:
            if rule.weight > 1:
                # A single prediction waits for the batcher, a batch for this turn of the loop. So all requests that
                # have arrived are counted before any is worked on, and the limit holds.
                await asyncio.sleep(0)
            principal = self._authorize(exchange)
            if (seconds := await self._service.limiter.refuse_seconds(principal)) is not None:
                detail = f"the rate of key '{principal.id}' is used up; try again in {seconds} s"
                raise ApiError(RATE_LIMITED, detail, headers=[retry_after(seconds)])
            endpoint = self._raw.get(scope["path"], self._app) if scope["method"] == "POST" else self._app
            await endpoint(scope, receive, send)
        finally:
            self._busy -= rule.weight

    def _authorize(self, exchange: _Exchange) -> Principal:
        keys = self._service.keys
        if keys is None:
            return ANYBODY
        if exchange.key is None:
            self._auth["missing"].inc()
            raise _unauthorized("send a key as 'X-API-Key: <key>' or 'Authorization: Bearer <key>'")
        principal = keys.find(exchange.key)
        if principal is None:
            self._auth["invalid"].inc()
            raise _unauthorized("the key is not, or no longer, valid")
        exchange.client = principal.id
        if principal.scopes.isdisjoint(exchange.rule.scopes):
            self._auth["forbidden"].inc()
            needed = " or ".join(sorted(exchange.rule.scopes))
            raise ApiError(FORBIDDEN, f"key '{principal.id}' lacks the scope {needed}")
        self._auth["accepted"].inc()
        return principal

    def _close(self, exchange: _Exchange) -> None:
        seconds = perf_counter() - exchange.started
        route = exchange.rule.route
        labels = (route, exchange.method, exchange.status or 499)  # 499: the client left before an answer
        counter = self._requests.get(labels)
        if counter is None:
            counter = self._requests[labels] = self._metrics.requests.labels(*map(str, labels))
        counter.inc()
        self._latency[route].observe(seconds)
        self._log.write(
            request_id=exchange.request_id,
            method=exchange.method,
            route=route,
            status=labels[2],
            seconds=seconds,
            client=exchange.client,
        )


def _unauthorized(detail: str) -> ApiError:
    return ApiError(UNAUTHORIZED, detail, headers=[(b"www-authenticate", b'Bearer realm="churn"')])


def _translate(error: HTTPException) -> ApiError:
    problem = BY_STATUS.get(error.status_code, INTERNAL)
    headers = [(name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items()]
    return ApiError(problem, problem.title, headers=headers)


async def _send_problem(send: Send, error: ApiError, exchange: _Exchange) -> None:
    body = error.body(exchange.request_id)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        *error.headers,
    ]
    if error.problem.status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}:
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    await send({"type": "http.response.start", "status": error.problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if exchange.method == "HEAD" else body})
