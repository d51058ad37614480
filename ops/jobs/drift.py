# ruff: noqa: T201  # part of a program that prints
"""Whether drift calls for a training: asked of Prometheus, where the alerts are."""

from __future__ import annotations

import time
from typing import Any, Final

import httpx

from ops.errors import OpsError

FIRING: Final = 'ALERTS{alertname=~"FeatureDrift|ScoreDrift", alertstate="firing"}'
LAST: Final = "max(churn_training_last_success_timestamp_seconds)"


def _ask(url: str, expression: str) -> list[dict[str, Any]]:
    try:
        answer = httpx.post(f"{url}/api/v1/query", data={"query": expression}, timeout=30, trust_env=False)
        found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["result"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise OpsError(f"Prometheus at {url} did not say whether there is drift: {error}") from None
    return found


def calls_for_training(url: str, not_within_hours: float) -> bool:
    """Whether an alert of drift fires and no run has staged a version for so many hours; says why not.

    Raises:
        OpsError: Prometheus gives no answer.
    """
    drifting = sorted({item["metric"].get("feature", "score") for item in _ask(url, FIRING)})
    if not drifting:
        print("no alert of drift fires: nothing to do")
        return False
    last = [float(item["value"][1]) for item in _ask(url, LAST)]
    hours = (time.time() - max(last)) / 3600 if last else None
    if hours is not None and hours < not_within_hours:
        print(f"drift of {', '.join(drifting)}, but a version was staged {hours:.1f} h ago: nothing to do")
        return False
    print(f"drift of {', '.join(drifting)}: training")
    return True
