"""The panels of a dashboard with what a live Prometheus answers to their queries."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from ops.errors import OpsError

POINTS: Final = 240
"""Of a line, at most."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line, or one figure: its name, its labels, and values by time in seconds since 1970."""

    name: str
    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A panel of Grafana's JSON and what its queries gave."""

    panel: Mapping[str, Any]
    series: Sequence[Series]


def plain(expression: str, minutes: int, names: Sequence[str] = ()) -> str:
    """A panel's expression with times in the place of Grafana's variables, and every value of the others."""
    text = expression.replace("$__rate_interval", "1m").replace("$__range", f"{minutes}m")
    for name in names:
        text = text.replace(f"${name}", ".*")
    return text


def legend(template: str, labels: Mapping[str, str]) -> str:
    """A series' name as Grafana makes it."""
    if template == "__auto":
        return ", ".join(value for key, value in sorted(labels.items()) if key != "__name__") or "value"
    for key, value in labels.items():
        template = template.replace("{{" + key + "}}", value)
    return template


class Prometheus:
    """Asks a server for what panels show."""

    def __init__(self, url: str, minutes: int) -> None:
        self._url = url.rstrip("/")
        self._minutes = minutes

    def answer(self, panel: Mapping[str, Any], names: Sequence[str] = ()) -> Answered:
        """A panel with its data; ``names`` are the dashboard's variables.

        Raises:
            OpsError: no Prometheus answers, or it refuses the expression.
        """
        series: list[Series] = []
        for target in panel["targets"]:
            expression = plain(target["expr"], self._minutes, names)
            for item in self._ask(expression, instant=target["instant"]):
                labels = item["metric"]
                raw = [item["value"]] if "value" in item else item["values"]
                points = [(float(at), float(value)) for at, value in raw]
                series.append(Series(name=legend(target["legendFormat"], labels), labels=labels, points=points))
        return Answered(panel=panel, series=series)

    def _ask(self, expression: str, *, instant: bool) -> list[dict[str, Any]]:
        now = time.time()
        seconds = self._minutes * 60
        times = {} if instant else {"start": now - seconds, "end": now, "step": max(5, seconds // POINTS)}
        where = f"{self._url}/api/v1/{'query' if instant else 'query_range'}"
        try:
            answer = httpx.post(where, data={"query": expression, **times}, timeout=30, trust_env=False)
            body = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise OpsError(f"no Prometheus answers at {self._url}: {error}; `churn up` starts one") from None
        if body.get("status") != "success":
            raise OpsError(f"Prometheus refuses {expression!r}: {body.get('error')}")
        found: list[dict[str, Any]] = body["data"]["result"]
        return found
