"""Grafana dashboards, one module each; the Grafana of the platform is given all of them."""

from __future__ import annotations

from typing import Any

from dashboards import api, business, infrastructure, model


def every() -> dict[str, dict[str, Any]]:
    """All dashboards as Grafana's JSON, by the name of their module."""
    return {
        "api": api.dashboard(),
        "business": business.dashboard(),
        "infrastructure": infrastructure.dashboard(),
        "model": model.dashboard(),
    }
