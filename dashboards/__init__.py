"""Grafana dashboards, one module for each; the platform's Grafana has all of them."""

from __future__ import annotations

from typing import Any

from dashboards import api, business, infrastructure, model
from dashboards.panels import Dashboard


def pages() -> dict[str, Dashboard]:
    """Return all dashboards as typed values, by the name of their module."""
    return {
        "api": api.page(),
        "business": business.page(),
        "infrastructure": infrastructure.page(),
        "model": model.page(),
    }


def every(docs: str = "") -> dict[str, dict[str, Any]]:
    """Return all dashboards as Grafana's JSON; ``docs`` is the address where people read the runbooks."""
    return {name: page.as_json(docs) for name, page in pages().items()}
