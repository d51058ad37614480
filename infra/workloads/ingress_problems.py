"""Errors of the edge itself as problem documents (RFC 9457), in the shape of the API's own.

NGINX would answer with an HTML page. These snippets belong to the controller's ConfigMap, which only operators can
write; snippets in annotations stay off. Answers of the workloads behind the edge pass unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MEDIA_TYPE: Final = "application/problem+json"
RATE_SECONDS: Final = 1
"""When to try again after too many requests: NGINX counts a client's rate per second."""
OUTAGE_SECONDS: Final = 5
"""When to try again if the workload did not answer: its pods are usually replaced, or ready again, by then."""
REQUEST_ID: Final = "$edge_request_id"
LIMIT: Final = "$edge_max_body"


@dataclass(frozen=True, kw_only=True)
class EdgeProblem:
    """One kind of error; ``code`` is stable, and ``retry_seconds`` becomes `Retry-After`."""

    status: int
    code: str
    title: str
    detail: str
    retry_seconds: int | None = None

    @property
    def document(self) -> str:
        """The body, with NGINX's variables in it."""
        return json.dumps(
            {
                "type": f"urn:churn:problem:{self.code}",
                "title": self.title,
                "status": self.status,
                "code": self.code,
                "detail": self.detail,
                "request_id": REQUEST_ID,
            }
        )


PROBLEMS: Final = (
    EdgeProblem(
        status=400,
        code="bad-request",
        title="The request is malformed",
        detail="The edge cannot read this as an HTTP request",
    ),
    EdgeProblem(
        status=404, code="not-found", title="There is nothing at this path", detail="This host has no such path"
    ),
    EdgeProblem(
        status=405,
        code="method-not-allowed",
        title="The path does not take this method",
        detail="The edge does not pass on this method",
    ),
    EdgeProblem(
        status=413,
        code="body-too-large",
        title="The body is larger than the limit",
        detail=f"The edge passes on bodies of at most {LIMIT}",
    ),
    EdgeProblem(status=414, code="uri-too-long", title="The address is too long", detail="Send long input in the body"),
    EdgeProblem(
        status=429,
        code="too-many-requests",
        title="This client address has used up its rate",
        detail="The edge limits the requests of each client address, whatever their keys",
        retry_seconds=RATE_SECONDS,
    ),
    EdgeProblem(
        status=500,
        code="edge-error",
        title="Internal error of the edge",
        detail="Search the log of the edge for this id",
    ),
    EdgeProblem(
        status=502,
        code="bad-gateway",
        title="The service behind the edge cannot be reached",
        detail="The connection was refused, or ended without an answer",
        retry_seconds=OUTAGE_SECONDS,
    ),
    EdgeProblem(
        status=503,
        code="unavailable",
        title="The service behind the edge is unavailable",
        detail="No instance of the service takes requests now",
        retry_seconds=OUTAGE_SECONDS,
    ),
    EdgeProblem(
        status=504,
        code="gateway-timeout",
        title="The service behind the edge did not answer in time",
        detail="The request may have been carried out all the same",
        retry_seconds=OUTAGE_SECONDS,
    ),
)
"""Without 408: NGINX closes the connection of a client that is too slow, and sends nothing."""


def http_snippets(limits: Mapping[str, str]) -> str:
    """Return the variables of the documents: the request's id, and by workload the largest body.

    As in the API, a client's own `X-Request-ID` is used if it is harmless; a new id is NGINX's.
    """
    rows = "".join(f' {workload} "{limit}";' for workload, limit in sorted(limits.items()))
    return "\n".join(
        [
            f"map $http_x_request_id {REQUEST_ID} {{",
            'default $request_id; "~^[A-Za-z0-9._-]{1,64}$" $http_x_request_id; }',
            # The controller names the route's Ingress in this variable.
            f'map $resource_name {LIMIT} {{ default "1 MiB";{rows} }}',
        ]
    )


def server_snippets() -> str:
    """Return the error pages of every host."""
    return "\n".join(line for problem in PROBLEMS for line in _page(problem))


def _page(problem: EdgeProblem) -> list[str]:
    place = f"@problem{problem.status}"
    retry = [] if problem.retry_seconds is None else [f"add_header Retry-After {problem.retry_seconds} always;"]
    return [
        f"error_page {problem.status} {place};",
        f"location {place} {{",
        # Without the table of types, the path's ending would decide on the type.
        "types { }",
        f"default_type {MEDIA_TYPE};",
        *retry,
        f"add_header X-Request-ID {REQUEST_ID} always;",
        "add_header Cache-Control no-store always;",
        # A location with headers of its own inherits none.
        'add_header Strict-Transport-Security "$hsts_header_val" always;',
        f"return {problem.status} '{problem.document}';",
        "}",
    ]
