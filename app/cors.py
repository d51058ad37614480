"""Cross-origin requests: which web pages' scripts may call the API. Off by default, and then nothing here runs.

Only exact origins are allowed, and never with cookies: the API accepts nothing but keys, which a page sends itself. A
page of any other origin gets the same answers as without this, which its browser keeps from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import AfterValidator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.origins import is_origin

PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", b"Authorization, Content-Type, X-API-Key, X-Request-ID"),
    (b"access-control-max-age", b"600"),
)
"""The same for every path, so the answer does not vary with what the browser asks for."""
_EXPOSED: Final = (b"access-control-expose-headers", b"Retry-After, X-Request-ID")
_VARY: Final = (b"vary", b"Origin")


def _checked(text: str) -> str:
    for origin in text.split():
        if not is_origin(origin):
            raise ValueError(
                f"{origin!r} is not the origin of a web page; write for example 'https://shop.example' or "
                "'https://shop.example:8443 http://localhost:3000': lower case, no path, no wildcard, no default port"
            )
    return text.strip()


Origins = Annotated[str, AfterValidator(_checked)]
"""Origins separated by spaces."""


class AllowedOrigins:
    """The origins whose pages may call the API."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def of(self, scope: Scope) -> bytes | None:
        """The request's origin if it is allowed; a request with two has none."""
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        return origins[0] if len(origins) == 1 and origins[0] in self._origins else None

    def ask(self, scope: Scope) -> bool:
        """Whether this is a preflight: a browser asks if a page of an allowed origin may send its real request."""
        if scope["method"] != "OPTIONS" or self.of(scope) is None:
            return False
        return any(name == b"access-control-request-method" for name, _ in scope["headers"])


class Marking:
    """ASGI middleware that marks each answer, errors included, with the origin whose page may read it."""

    def __init__(self, app: ASGIApp, allowed: AllowedOrigins) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = self._allowed.of(scope)
        # Also for others: a cache between must not give one origin's answer to another.
        headers = [_VARY] if origin is None else [_VARY, (b"access-control-allow-origin", origin), _EXPOSED]

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await self._app(scope, receive, marked)
