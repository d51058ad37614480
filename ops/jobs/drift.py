# ruff: noqa: T201  # part of a program that prints
"""Decides whether drift calls for a training, by the alerts in Prometheus."""

from __future__ import annotations

import time
from typing import Final

from app.names import MODEL_NAME
from ops.metric_names import TRAINING_LAST_SUCCESS
from ops.prometheus import Prometheus

FIRING: Final = f'ALERTS{{alertname=~"FeatureDrift|ScoreDrift", alertstate="firing", model="{MODEL_NAME}"}}'
"""Drift of the model that the training job trains; another model in the same API has nothing to do with it."""
LAST_STAGED: Final = f"max({TRAINING_LAST_SUCCESS})"


def calls_for_training(url: str, not_within_hours: float) -> bool:
    """Whether a drift alert is firing and no run has staged a version within that many hours; prints the decision.

    Raises:
        OpsError: Prometheus gives no answer.
    """
    prometheus = Prometheus(url)
    drifting = sorted({item["metric"].get("feature", "score") for item in prometheus.query(FIRING)})
    if not drifting:
        print("no drift alert is firing: nothing to do")
        return False
    last = [float(item["value"][1]) for item in prometheus.query(LAST_STAGED)]
    hours = (time.time() - max(last)) / 3600 if last else None
    if hours is not None and hours < not_within_hours:
        print(f"{', '.join(drifting)} drifted, but a version was staged {hours:.1f} h ago: nothing to do")
        return False
    print(f"{', '.join(drifting)} drifted: training")
    return True
