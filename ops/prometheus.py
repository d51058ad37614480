"""The one client that queries Prometheus."""

from __future__ import annotations

from typing import Any, Final

import httpx

from ops.errors import OpsError, TemporaryError

TIMEOUT_SECONDS: Final = 30


class Prometheus:
    """Evaluates PromQL expressions on one server. A result is a list of series, in the shape that Prometheus sends."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the present value of each series: ``metric`` holds its labels, ``value`` the time and the value.

        Raises:
            OpsError: no Prometheus answers, or it refuses the expression.
        """
        return self._result("query", {"query": expression})

    def query_range(self, expression: str, *, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """Return the values of each series over a time: ``values`` holds pairs of time and value.

        Raises:
            OpsError: no Prometheus answers, or it refuses the expression.
        """
        return self._result("query_range", {"query": expression, "start": start, "end": end, "step": step})

    def _result(self, endpoint: str, parameters: dict[str, str | float]) -> list[dict[str, Any]]:
        url = f"{self._url}/api/v1/{endpoint}"
        try:
            answer = httpx.post(url, data=parameters, timeout=TIMEOUT_SECONDS, trust_env=False)
            body: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise TemporaryError(
                f"no Prometheus answers at {self._url}: {error}; check the address, or start one with `churn up`"
            ) from None
        if not answer.is_success or body.get("status") != "success":
            reason = body.get("error") or f"it answered {answer.status_code}"
            raise OpsError(f"Prometheus at {self._url} refuses {parameters['query']!r}: {reason}")
        result: list[dict[str, Any]] = body["data"]["result"]
        return result
