"""The one home of metric names, labels and buckets, with :mod:`app.model_metrics`; rules and dashboards refer to it.

Labels are bounded: routes are templates, versions are those loaded now, keys are ids from the key file. Per-request
counters use children looked up once, and feature bins are plain integers read at scrape time: a prediction takes less
time than twenty locked increments.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Final

import numpy as np
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from app.bundle import Bins
from app.contract import Features, Scores
from app.decisions import DECISIONS, RISK_BANDS
from app.model import Model
from app.model_metrics import ModelFamilies, ModelMetrics

LATENCY_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SCORE_BUCKETS: Final = tuple(i / 20 for i in range(1, 21))
SCORE_LABEL: Final = "score"
"""Name of the score's bins, beside the names of the features."""


disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter that nobody reads; the library has only this global switch


class BinCounter:
    """Counts the values of one distribution in the bins of the reference."""

    __slots__ = ("counts", "edges", "reference")

    def __init__(self, bins: Bins) -> None:
        self.edges = bins.edges
        self.reference = bins.proportions
        self.counts = [0] * len(bins.proportions)

    def add(self, value: float) -> None:
        self.counts[int(value) if self.edges is None else bisect_left(self.edges, value)] += 1

    def add_many(self, values: np.ndarray[tuple[int], np.dtype[np.floating]]) -> None:
        indices = values.astype(np.intp) if self.edges is None else np.searchsorted(self.edges, values, side="left")
        for i, n in enumerate(np.bincount(indices, minlength=len(self.counts)).tolist()):
            self.counts[i] += n


class ModelCounters:
    """What one loaded model has predicted; discarded with the model, so that old versions leave no series behind."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.decisions = dict.fromkeys(DECISIONS, 0)
        self.bands = dict.fromkeys(RISK_BANDS, 0)
        self.features = [BinCounter(model.reference.features[f.name]) for f in model.contract.features]
        self.score = BinCounter(model.reference.score)
        self.score_sum = 0.0
        self.histogram = BinCounter(Bins(edges=list(SCORE_BUCKETS), proportions=[0.0] * (len(SCORE_BUCKETS) + 1)))

    def add(self, row: Sequence[float], score: float, decision: str, band: str) -> None:
        self.decisions[decision] += 1
        self.bands[band] += 1
        self.score.add(score)
        self.score_sum += score
        self.histogram.add(score)
        for counter, value in zip(self.features, row, strict=True):
            counter.add(value)

    def add_many(self, features: Features, scores: Scores, decisions: Sequence[str], bands: Sequence[str]) -> None:
        for value in self.decisions:
            self.decisions[value] += decisions.count(value)
        for value in self.bands:
            self.bands[value] += bands.count(value)
        self.score.add_many(scores)
        self.score_sum += float(scores.sum())
        self.histogram.add_many(scores)
        for i, counter in enumerate(self.features):
            counter.add_many(features[:, i])

    @property
    def series(self) -> int:
        """The number of series that this version has in each scrape."""
        families = _Families()
        families.add("", self)
        return sum(len(family.samples) for family in vars(families).values())

    @property
    def distributions(self) -> Iterable[tuple[str, BinCounter]]:
        yield SCORE_LABEL, self.score
        for feature, counter in zip(self.model.contract.features, self.features, strict=True):
            yield feature.name, counter


class _ModelCollector(Collector):
    """Exports the counters of the version of each model that serves now."""

    def __init__(self, live: Callable[[], Mapping[str, ModelCounters]]) -> None:
        self._live = live

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        live = self._live()
        if not live:
            return
        families = _Families()
        for name, counters in live.items():
            families.add(name, counters)
        yield from vars(families).values()


class _Families:
    """The families of the models' series; each attribute is one."""

    def __init__(self) -> None:
        version = ["model", "model_version"]
        self.info = GaugeMetricFamily(
            "churn_model_info",
            "The version that serves; always 1.",
            labels=["model", "version", "model_type", "source", "contract"],
        )
        self.loaded = GaugeMetricFamily("churn_model_loaded_timestamp_seconds", "When it was loaded.", labels=["model"])
        self.created = GaugeMetricFamily(
            "churn_model_created_timestamp_seconds", "When it was trained.", labels=["model"]
        )
        self.age = GaugeMetricFamily("churn_model_age_seconds", "Time since it was trained.", labels=["model"])
        self.threshold = GaugeMetricFamily(
            "churn_model_threshold", "Score at which churn is decided.", labels=["model"]
        )
        self.predictions = CounterMetricFamily("churn_predictions", "Customers scored.", labels=[*version, "decision"])
        self.bands = CounterMetricFamily(
            "churn_predictions_by_band", "Customers scored, by risk band.", labels=[*version, "band"]
        )
        self.scores = HistogramMetricFamily("churn_prediction_score", "Predicted probability of churn.", labels=version)
        bins = [*version, "feature", "bin"]
        self.bins = CounterMetricFamily(
            "churn_feature_bin", "Scored customers by bin of each feature, and of the score, for drift.", labels=bins
        )
        self.reference = GaugeMetricFamily(
            "churn_feature_bin_reference_ratio", "Share of the training rows in that bin.", labels=bins
        )
        self.reference_rows = GaugeMetricFamily(
            "churn_feature_bin_reference_rows", "Training rows behind the reference.", labels=["model"]
        )

    def add(self, name: str, counters: ModelCounters) -> None:
        """Add the series of one model."""
        model = counters.model
        manifest, version = model.manifest, model.origin.version
        self.info.add_metric([name, version, manifest.model_type, model.origin.source, model.contract.name], 1)
        self.loaded.add_metric([name], model.loaded_at)
        created = manifest.created_at.timestamp()
        self.created.add_metric([name], created)
        self.age.add_metric([name], time.time() - created)
        self.threshold.add_metric([name], manifest.threshold)
        for decision, count in counters.decisions.items():
            self.predictions.add_metric([name, version, decision], count)
        for band, count in counters.bands.items():
            self.bands.add_metric([name, version, band], count)
        edges = [*map(str, SCORE_BUCKETS), "+Inf"]
        buckets = list(zip(edges, accumulate(counters.histogram.counts), strict=True))
        self.scores.add_metric([name, version], buckets, counters.score_sum)
        for feature, counter in counters.distributions:
            for i, (count, share) in enumerate(zip(counter.counts, counter.reference, strict=True)):
                self.bins.add_metric([name, version, feature, str(i)], count)
                self.reference.add_metric([name, version, feature, str(i)], share)
        self.reference_rows.add_metric([name], model.reference.rows)


class Metrics:
    """Every metric of one process, in a registry of its own so that two apps can live in one interpreter."""

    def __init__(self, live: Callable[[], Mapping[str, ModelCounters]]) -> None:
        """Register every metric.

        Args:
            live: returns the counters of the version of each model that serves now, by the model's name.
        """
        self.registry = r = CollectorRegistry()
        ProcessCollector(registry=r)
        PlatformCollector(registry=r)
        self.requests = Counter("churn_http_requests", "Answered requests.", ["route", "method", "status"], registry=r)
        self.latency = Histogram(
            "churn_http_request_duration_seconds",
            "From the request's first byte in the application to the last byte of the answer.",
            ["route"],
            buckets=LATENCY_BUCKETS,
            registry=r,
        )
        self.in_flight = Gauge("churn_http_requests_in_flight", "Requests in progress.", ["route"], registry=r)
        self.auth = Counter("churn_auth", "Checks of an API key.", ["outcome"], registry=r)
        self.rate_limit = Counter("churn_rate_limit", "Decisions of the rate limit.", ["outcome"], registry=r)
        self.rate_limit_alone = Counter(
            "churn_rate_limit_alone",
            "Decisions for which this process counted alone because Redis did not answer.",
            registry=r,
        )
        self.cache = Counter("churn_prediction_cache", "Look-ups in the prediction cache.", ["outcome"], registry=r)
        self.redis_up = Gauge(
            "churn_redis_up", "1 if Redis answers and takes writes; 0 if it is treated as off.", registry=r
        )
        self.keys_valid = Gauge("churn_api_keys_file_valid", "0 if the key file last read did not fit.", registry=r)
        self._models = ModelFamilies(r)
        r.register(_ModelCollector(live))

    def of_model(self, name: str, registry_answered: Callable[[], float | None]) -> ModelMetrics:
        """Create the series of one model that outlive its versions.

        Args:
            registry_answered: returns the Unix time of the model registry's last answer; None if it never answered.
        """
        return self._models.of(name, registry_answered)
