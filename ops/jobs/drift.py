# ruff: noqa: T201  # part of a program that prints
"""Decides whether drift calls for a training, by the alerts in Prometheus."""

from __future__ import annotations

import time
from typing import Final

from ops.metric_names import TRAINING_LAST_SUCCESS, series
from ops.prometheus import Prometheus

ALERTS: Final = "FeatureDrift|ScoreDrift"


def firing(model: str) -> str:
    """Return the query for alerts about drift of one model; another model of the same API has nothing to do with it."""
    return f'ALERTS{{alertname=~"{ALERTS}", alertstate="firing", model="{model}"}}'


def last_staged(model: str) -> str:
    """Return the query for the time at which a run last staged a version of this model."""
    return f"max({series(TRAINING_LAST_SUCCESS, model=model)})"


def calls_for_training(url: str, model: str, not_within_hours: float) -> bool:
    """Whether a drift alert about a model is firing and no run has staged a version of it within that many hours.

    It prints the decision.

    Raises:
        OpsError: Prometheus gives no answer.
    """
    prometheus = Prometheus(url)
    drifting = sorted({item["metric"].get("feature", "score") for item in prometheus.query(firing(model))})
    if not drifting:
        print(f"no drift alert about {model} is firing: nothing to do")
        return False
    last = [float(item["value"][1]) for item in prometheus.query(last_staged(model))]
    hours = (time.time() - max(last)) / 3600 if last else None
    if hours is not None and hours < not_within_hours:
        print(f"{', '.join(drifting)} of {model} drifted, but a version was staged {hours:.1f} h ago: nothing to do")
        return False
    print(f"{', '.join(drifting)} of {model} drifted: training")
    return True
