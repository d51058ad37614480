"""Every error the API can answer with: one tree, one catalogue, one shape (RFC 9457 ``application/problem+json``).

A route or a layer raises :class:`ApiError` with a :class:`Problem` of the catalogue; nothing else about a failure
reaches the client. The OpenAPI page and docs/api.md list the catalogue; a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import BaseModel, Field
from pydantic_core import ErrorDetails

MEDIA_TYPE: Final = "application/problem+json"
MAX_LISTED: Final = 50
_MAX_SHOWN_CHARACTERS: Final = 64


@dataclass(frozen=True)
class Problem:
    """One kind of error. ``code`` is stable: clients may branch on it."""

    status: int
    code: str
    title: str

    @property
    def type(self) -> str:
        return f"urn:churn:problem:{self.code}"


INVALID_JSON: Final = Problem(400, "invalid-json", "The body is not strict JSON")
UNAUTHORIZED: Final = Problem(401, "unauthorized", "A valid API key is needed")
FORBIDDEN: Final = Problem(403, "forbidden", "The API key lacks the scope for this")
NOT_FOUND: Final = Problem(404, "not-found", "There is nothing at this path")
METHOD_NOT_ALLOWED: Final = Problem(405, "method-not-allowed", "The path does not take this method")
REQUEST_TIMEOUT: Final = Problem(408, "request-timeout", "The body did not arrive in time")
BODY_TOO_LARGE: Final = Problem(413, "body-too-large", "The body is larger than the limit")
UNSUPPORTED_MEDIA: Final = Problem(415, "unsupported-media-type", "The body must be application/json")
INVALID_INPUT: Final = Problem(422, "invalid-input", "The input does not fit the schema")
RATE_LIMITED: Final = Problem(429, "rate-limited", "This API key has used up its rate")
INTERNAL: Final = Problem(500, "internal-error", "Internal error; search the server's log for this request id")
OVERLOADED: Final = Problem(503, "overloaded", "Too many requests are in progress")
NO_MODEL: Final = Problem(503, "no-model", "No verified model is loaded yet")

CATALOGUE: Final = (
    INVALID_JSON,
    UNAUTHORIZED,
    FORBIDDEN,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    REQUEST_TIMEOUT,
    BODY_TOO_LARGE,
    UNSUPPORTED_MEDIA,
    INVALID_INPUT,
    RATE_LIMITED,
    INTERNAL,
    OVERLOADED,
    NO_MODEL,
)
BY_STATUS: Final[Mapping[int, Problem]] = {p.status: p for p in reversed(CATALOGUE)}


class FieldError(BaseModel):
    """One place in the input that does not fit."""

    location: list[str | int] = Field(description="Path to the value: for a batch, the row's index comes second.")
    message: str
    value: str | None = Field(description="The offending value, shortened; null when it is missing.")


class ProblemBody(BaseModel):
    """The body of every error (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[FieldError] | None = Field(default=None, description=f"At most {MAX_LISTED}; only for invalid input.")


class ApiError(Exception):
    """Ends a request with a problem of the catalogue."""

    def __init__(
        self,
        problem: Problem,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail
        self.errors = errors
        self.headers = headers

    def body(self, request_id: str) -> bytes:
        """The problem document as JSON bytes."""
        problem = self.problem
        document: dict[str, Any] = {
            "type": problem.type,
            "title": problem.title,
            "status": problem.status,
            "code": problem.code,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.errors is not None:
            document["errors"] = list(self.errors)
        return orjson.dumps(document)


def retry_after(seconds: int) -> tuple[bytes, bytes]:
    return b"retry-after", str(max(1, seconds)).encode()


def _plain(text: str) -> str:
    text = text if len(text) <= _MAX_SHOWN_CHARACTERS else text[: _MAX_SHOWN_CHARACTERS - 1] + "…"
    # A lone surrogate can stand in a parsed string but not in UTF-8.
    return text.encode("utf-8", "backslashreplace").decode()


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return f"({type(value).__name__} of {len(value)})"
    return _plain(repr(value))


def field_error(details: ErrorDetails) -> dict[str, Any]:
    """Convert a validation error of pydantic to the shape of :class:`FieldError`."""
    missing = details["type"] == "missing"
    return {
        "location": [step if isinstance(step, int) else _plain(step) for step in details["loc"]],
        "message": details["msg"],
        "value": None if missing else _shown(details["input"]),
    }


def invalid_input(errors: Sequence[ErrorDetails]) -> ApiError:
    """Build the error for JSON that does not fit the schema; it lists every misfit, up to MAX_LISTED."""
    count = len(errors)
    listed = [field_error(e) for e in errors[:MAX_LISTED]]
    more = f"; the first {MAX_LISTED} are listed" if count > MAX_LISTED else ""
    plural = "value does" if count == 1 else "values do"
    return ApiError(INVALID_INPUT, f"{count} {plural} not fit the schema{more}", errors=listed)
