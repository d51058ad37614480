"""The metrics of each model that outlive its versions: its registry, its swaps, and the money at risk."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app.bundle import BundleError


class SeriesBudget:
    """Counts the series of the versions that serve, over all models of a process, before another one is accepted."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._series: dict[str, int] = {}
        self._lock = threading.Lock()
        """Versions of several models are loaded in threads at the same time."""

    def reserve(self, model: str, series: int) -> None:
        """Count a version of a model instead of the one before.

        Raises:
            BundleError: with it, Prometheus would get more series than the limit; the one before still counts.
        """
        with self._lock:
            others = sum(self._series.values()) - self._series.get(model, 0)
            if others + series > self._limit:
                raise BundleError(
                    f"it has {series:,} series in Prometheus, the other models of this API have {others:,}, and "
                    f"MAX_SERIES allows {self._limit:,} in all: give its contract fewer features and categories, serve "
                    "it by an API of its own, or raise MAX_SERIES"
                )
            self._series[model] = series


@dataclass(frozen=True, kw_only=True)
class ModelMetrics:
    """The metrics of one model that outlive its versions."""

    high_risk: Counter
    revenue_at_risk: Counter
    revenue_scored: Counter
    batch_rows: Histogram
    registry_up: Gauge
    refused: Counter
    swaps: Counter
    stale: Gauge
    alias_moved_by_hand: Gauge

    def revenue(self, money: float, high_risk_money: float) -> None:
        """Count the money at risk of scored customers, and its part in the high band."""
        self.revenue_scored.inc(money)
        if high_risk_money:
            self.revenue_at_risk.inc(high_risk_money)


class ModelFamilies:
    """The families of these metrics, with the label ``model``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, documentation: str) -> Counter:
            return Counter(name, documentation, ["model"], registry=registry)

        def gauge(name: str, documentation: str) -> Gauge:
            return Gauge(name, documentation, ["model"], registry=registry)

        self._batch_rows = Histogram(
            "churn_batch_rows",
            "Customers per batch.",
            ["model"],
            buckets=(1, 10, 50, 100, 250, 500, 1000, 10_000),
            registry=registry,
        )
        self._high_risk = counter("churn_high_risk_customers", "Customers scored into the high band.")
        self._revenue_at_risk = counter(
            "churn_monthly_revenue_at_risk", "Money at risk of customers scored into the high band."
        )
        self._revenue_scored = counter("churn_monthly_revenue_scored", "Money at risk of all customers scored.")
        self._registry_up = gauge("churn_registry_up", "1 if the model registry answered last time.")
        self._refused = counter("churn_model_refused", "Models refused before serving.")
        self._swaps = counter("churn_model_swaps", "Models put into service.")
        self._stale = gauge("churn_model_stale", "1 if the alias names a version that is not the one that serves.")
        self._alias_moved_by_hand = gauge(
            "churn_model_alias_moved_by_hand",
            "1 if the alias names a version that `churn` did not put there, whether or not it serves.",
        )
        self._staleness = gauge(
            "churn_registry_last_success_age_seconds", "Time since the registry last answered; NaN if never."
        )

    def of(self, name: str, registry_answered: Callable[[], float | None]) -> ModelMetrics:
        """Create the series of one model; see :meth:`app.metrics.Metrics.of_model`."""
        self._staleness.labels(name).set_function(lambda: time.time() - (registry_answered() or math.nan))
        return ModelMetrics(
            high_risk=self._high_risk.labels(name),
            revenue_at_risk=self._revenue_at_risk.labels(name),
            revenue_scored=self._revenue_scored.labels(name),
            batch_rows=self._batch_rows.labels(name),
            registry_up=self._registry_up.labels(name),
            refused=self._refused.labels(name),
            swaps=self._swaps.labels(name),
            stale=self._stale.labels(name),
            alias_moved_by_hand=self._alias_moved_by_hand.labels(name),
        )
