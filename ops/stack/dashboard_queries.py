"""Runs the queries of a dashboard's panels against a live Prometheus."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ops.prometheus import Prometheus

MAX_POINTS: Final = 240
"""Points of one line."""
MIN_STEP_SECONDS: Final = 5


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line, or one figure: its name, its labels, and values by time in seconds since 1970."""

    name: str
    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class PanelData:
    """A panel of Grafana's JSON and the results of its queries."""

    panel: Mapping[str, Any]
    series: Sequence[Series]


def substitute_variables(expression: str, minutes: int, names: Sequence[str] = ()) -> str:
    """Put fixed times in place of Grafana's time variables, and a pattern for any value in place of the others."""
    text = expression.replace("$__rate_interval", "1m").replace("$__range", f"{minutes}m")
    for name in names:
        text = text.replace(f"${name}", ".*")
    return text


def legend(template: str, labels: Mapping[str, str]) -> str:
    """Name a series as Grafana does."""
    if template == "__auto":
        return ", ".join(value for key, value in sorted(labels.items()) if key != "__name__") or "value"
    for key, value in labels.items():
        template = template.replace("{{" + key + "}}", value)
    return template


class PanelQueries:
    """Fetches the data of panels for the last ``minutes``."""

    def __init__(self, url: str, minutes: int) -> None:
        self._prometheus = Prometheus(url)
        self._minutes = minutes

    def fetch(self, panel: Mapping[str, Any], names: Sequence[str] = ()) -> PanelData:
        """Return a panel with its data; ``names`` are the dashboard's variables.

        Raises:
            OpsError: no Prometheus answers, or it refuses the expression.
        """
        series: list[Series] = []
        for target in panel["targets"]:
            expression = substitute_variables(target["expr"], self._minutes, names)
            for item in self._query(expression, instant=target["instant"]):
                labels = item["metric"]
                raw = [item["value"]] if "value" in item else item["values"]
                points = [(float(at), float(value)) for at, value in raw]
                series.append(Series(name=legend(target["legendFormat"], labels), labels=labels, points=points))
        return PanelData(panel=panel, series=series)

    def _query(self, expression: str, *, instant: bool) -> list[dict[str, Any]]:
        if instant:
            return self._prometheus.query(expression)
        now, seconds = time.time(), self._minutes * 60
        step = max(MIN_STEP_SECONDS, seconds // MAX_POINTS)
        return self._prometheus.query_range(expression, start=now - seconds, end=now, step=step)
