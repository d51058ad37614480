# ruff: noqa: T201  # part of programs that print
"""The one client of the pushgateway, for jobs that end before Prometheus could scrape them."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from http.client import HTTPException
from typing import TYPE_CHECKING, Final

from ops.metric_names import HELP

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

TIMEOUT_SECONDS: Final = 10
PAUSES: Final = (1, 2, 4)
"""Seconds between tries: a job may end before the network policy of its pod is in force."""


def push(url: str | None, job: str, figures: Mapping[str, float], **labels: str) -> None:
    """Add figures to a group of the pushgateway; without a URL, do nothing.

    A gateway that cannot be reached is mentioned on stderr and never fails the job. Figures that are left out keep
    their values, so that the time of the last success survives a failure.

    Args:
        url: address of the pushgateway.
        job: name of the group.
        figures: value of each metric of `ops.metric_names`; `series` names one with labels of its own.
        labels: further labels of the whole group.
    """
    if not url:
        return
    from prometheus_client import pushadd_to_gateway  # noqa: PLC0415  # not loaded without a gateway

    registry = _registry(figures)
    for pause in (*PAUSES, None):
        try:
            pushadd_to_gateway(url, job=job, grouping_key=labels, registry=registry, timeout=TIMEOUT_SECONDS)
        except (OSError, ValueError, HTTPException) as error:
            if pause is None:
                print(f"the metrics of this run could not be pushed to {url}: {error}", file=sys.stderr)
            else:
                time.sleep(pause)
        else:
            return


def _registry(figures: Mapping[str, float]) -> CollectorRegistry:
    """Gauges with these values."""
    from prometheus_client import CollectorRegistry, Gauge  # noqa: PLC0415  # as in `push`
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415  # likewise

    registry = CollectorRegistry()
    gauges: dict[str, Gauge] = {}
    page = "".join(f"{name} {value}\n" for name, value in figures.items())
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name not in gauges:
                gauges[sample.name] = Gauge(sample.name, HELP[sample.name], list(sample.labels), registry=registry)
            gauge = gauges[sample.name]
            (gauge.labels(**sample.labels) if sample.labels else gauge).set(sample.value)
    return registry
