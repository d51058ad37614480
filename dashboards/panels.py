"""Grafana dashboards as typed values; this module derives their JSON, with ids and positions, from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

SCHEMA_VERSION: Final = 42
COLUMNS: Final = 24
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
"""A variable, so that a dashboard imported by hand finds the Prometheus of any Grafana."""

OURS: Final = 'namespace=~"churn-.+"'
"""Selects the series of the platform's own namespaces."""

Unit = Literal["short", "percentunit", "reqps", "ops", "s", "bytes", "currencyUSD", "none", "dateTimeAsIso", "cores"]
Color = Literal["green", "yellow", "orange", "red", "blue"]


@dataclass(frozen=True, kw_only=True)
class Query:
    """A PromQL expression, and the legend of its series, with labels as ``{{label}}``."""

    expr: str
    legend: str = ""


def count(series: str) -> Query:
    """Return a query for how many series there are; zero if none, where `count` itself gives nothing."""
    return Query(expr=f"count({series}) or vector(0)")


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What every panel has. ``thresholds`` are the values at which a color starts; below the first one it is green."""

    kind: ClassVar[str]
    height: ClassVar[int]
    instant: ClassVar[bool]

    title: str
    description: str
    queries: Sequence[Query]
    unit: Unit = "short"
    width: int = 8
    thresholds: Sequence[tuple[float, Color]] = ()
    runbook: str = ""
    """Path and anchor below ``docs/runbooks/`` of what to do when the panel looks bad."""

    def options(self) -> dict[str, Any]:
        """Return the options of this kind of panel."""
        raise NotImplementedError

    def custom(self) -> dict[str, Any]:
        """Return how this kind of panel draws a field."""
        return {}

    def as_json(self, number: int, x: int, y: int, docs: str) -> dict[str, Any]:
        """Return the panel's JSON, at its position; ``docs`` is the address of this repository, or empty."""
        steps = [{"color": "green", "value": None}, *({"color": c, "value": v} for v, c in self.thresholds)]
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self._described(docs),
            "datasource": DATASOURCE,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "targets": [self._target(index, query) for index, query in enumerate(self.queries)],
            "fieldConfig": {
                "defaults": {
                    "unit": self.unit,
                    "thresholds": {"mode": "absolute", "steps": steps},
                    "custom": self.custom(),
                },
                "overrides": [],
            },
            "options": self.options(),
            "links": self._links(docs),
        }

    def _links(self, docs: str) -> list[dict[str, Any]]:
        # Without an address a link would lead to Grafana's own host, which has no runbooks.
        if not self.runbook or not docs:
            return []
        url = f"{docs.rstrip('/')}/docs/runbooks/{self.runbook}"
        return [{"title": "Runbook", "url": url, "targetBlank": True}]

    def _described(self, docs: str) -> str:
        """Return the description, with the runbook's path where it cannot be a link."""
        if not self.runbook or docs:
            return self.description
        return f"{self.description}\n\nRunbook: docs/runbooks/{self.runbook}"

    def _target(self, index: int, query: Query) -> dict[str, Any]:
        return {
            "refId": chr(ord("A") + index),
            "datasource": DATASOURCE,
            "expr": query.expr,
            "legendFormat": query.legend or "__auto",
            "instant": self.instant,
            "range": not self.instant,
            "format": "table" if self.kind == "table" else "time_series",
        }


@dataclass(frozen=True, kw_only=True)
class Timeseries(Panel):
    """Lines over time."""

    kind: ClassVar[str] = "timeseries"
    height: ClassVar[int] = 8
    instant: ClassVar[bool] = False
    stacked: bool = False

    def options(self) -> dict[str, Any]:
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }

    def custom(self) -> dict[str, Any]:
        return {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 25 if self.stacked else 5,
            "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "line" if self.thresholds else "off"},
        }


@dataclass(frozen=True, kw_only=True)
class Stat(Panel):
    """A single figure, colored by its thresholds."""

    kind: ClassVar[str] = "stat"
    height: ClassVar[int] = 4
    instant: ClassVar[bool] = True
    width: int = 4

    def options(self) -> dict[str, Any]:
        return {
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "textMode": "auto",
        }


@dataclass(frozen=True, kw_only=True)
class Table(Panel):
    """Series as rows, with one column for each label."""

    kind: ClassVar[str] = "table"
    height: ClassVar[int] = 8
    instant: ClassVar[bool] = True

    def options(self) -> dict[str, Any]:
        return {"showHeader": True, "cellHeight": "sm"}


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A choice among the values of a label of a metric, at first all of them; ``$name`` in a query."""

    name: str
    metric: str
    label: str

    def as_json(self) -> dict[str, Any]:
        query = f"label_values({self.metric}, {self.label})"
        return {
            "name": self.name,
            "label": self.label.replace("_", " ").capitalize(),
            "type": "query",
            "datasource": DATASOURCE,
            "query": {"query": query, "refId": "variable"},
            "definition": query,
            "refresh": 2,
            "includeAll": True,
            "allValue": ".*",
            "multi": True,
            "current": {"text": ["All"], "value": ["$__all"]},
        }


MODELS: Final = Variable(name="model", metric="churn_registry_up", label="model")
"""The models of the API, also those of which no version serves yet."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A heading, and its panels from left to right."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """A page of rows."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    tags: Sequence[str] = field(default=("churn",))
    since: str = "now-6h"
    variables: Sequence[Variable] = ()

    def as_json(self, docs: str = "") -> dict[str, Any]:
        """Return what Grafana loads from a file; ``docs`` is where people read this repository, for runbook links."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": list(self.tags),
            "schemaVersion": SCHEMA_VERSION,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": self.since, "to": "now"},
            "timezone": "browser",
            "annotations": {"list": []},
            "templating": {
                "list": [
                    {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
                    *(variable.as_json() for variable in self.variables),
                ]
            },
            "panels": _placed(self.rows, docs),
        }


def _placed(rows: Sequence[Row], docs: str) -> list[dict[str, Any]]:
    """Return all panels with ids and positions; a line holds 24 columns and is as high as its highest panel."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        place = {"h": 1, "w": COLUMNS, "x": 0, "y": y}
        panels.append({"id": len(panels) + 1, "type": "row", "title": row.title, "collapsed": False, "gridPos": place})
        panels[-1]["panels"] = []
        y, x, height = y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                y, x, height = y + height, 0, 0
            panels.append(panel.as_json(len(panels) + 1, x, y, docs))
            x, height = x + panel.width, max(height, panel.height)
        y += height
    return panels
