"""Which metrics exist, with which labels.

Those of the API come from its own metrics page, those of other programs from a recording of a live cluster's
Prometheus (`tests/recorded/record.py`), and the few that are not in it from documentation, each with the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from support.api import make_api
from support.bundles import make_bundle
from support.labels import Check, Labels
from support.promql import Matcher, Selector, parse

from ops import metric_names

RECORDING: Final = Path(__file__).parents[1] / "recorded" / "series.json"
API: Final = "api"
_SUFFIXES: Final = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
_BUCKET: Final = "_bucket"

Series = dict[str, dict[str, Labels]]
"""Labels by metric and job; the job is "" if a series has none."""


@dataclass(frozen=True)
class Unrecorded:
    """A metric that is known from its documentation alone, and why it is not recorded."""

    job: str
    labels: Labels
    reason: str


_KSM: Final = "kube-state-metrics"
_SCRAPED: Final = frozenset({"instance", "job"})
_POD: Final = _SCRAPED | {"namespace", "node", "pod"}
_CONTAINER: Final = _SCRAPED | {"container", "namespace", "pod"}
_CADVISOR: Final = _CONTAINER | {"id", "image", "name", "node"}
_STAND_IN: Final = "the recorded cluster's controller was a stand-in, whose metrics are not recorded"
_NO_THANOS: Final = "the recorded cluster was of a stack without Thanos"
_YOUNG: Final = (
    "kube-state-metrics exposes it after a CronJob's first scheduled run, and the recorded cluster was younger"
)
_LATER: Final = "a rule asks for it since the cluster was recorded"
UNRECORDED: Final[Mapping[str, Unrecorded]] = {
    "kube_cronjob_status_last_schedule_time": Unrecorded(_KSM, _SCRAPED | {"cronjob", "namespace"}, _YOUNG),
    "kube_cronjob_status_last_successful_time": Unrecorded(_KSM, _SCRAPED | {"cronjob", "namespace"}, _YOUNG),
    "kube_horizontalpodautoscaler_status_condition": Unrecorded(
        _KSM, _SCRAPED | {"condition", "horizontalpodautoscaler", "namespace", "status"}, _LATER
    ),
    "kube_job_created": Unrecorded(_KSM, _SCRAPED | {"job_name", "namespace"}, _LATER),
    "kube_job_owner": Unrecorded(
        _KSM,
        _SCRAPED | {"job_name", "namespace", "owner_is_controller", "owner_kind", "owner_name"},
        _LATER,
    ),
    "kube_pod_container_status_last_terminated_reason": Unrecorded(_KSM, _CONTAINER | {"reason", "uid"}, _LATER),
    "kube_pod_container_status_terminated_reason": Unrecorded(_KSM, _CONTAINER | {"reason", "uid"}, _LATER),
    "container_oom_events_total": Unrecorded("cadvisor", _CADVISOR, _LATER),
    "container_cpu_cfs_periods_total": Unrecorded("cadvisor", _CADVISOR, _LATER),
    "container_cpu_cfs_throttled_periods_total": Unrecorded("cadvisor", _CADVISOR, _LATER),
    "nginx_ingress_controller_nginx_last_reload_status": Unrecorded("ingress", _POD | {"class"}, _STAND_IN),
    "probe_duration_seconds": Unrecorded("probe", _SCRAPED, _LATER),
    "thanos_compact_halted": Unrecorded("thanos-compact", _POD, _NO_THANOS),
    "thanos_shipper_uploads_total": Unrecorded("thanos-sidecar", _SCRAPED | {"namespace"}, _NO_THANOS),
    "thanos_shipper_upload_failures_total": Unrecorded("thanos-sidecar", _SCRAPED | {"namespace"}, _NO_THANOS),
    "node_filesystem_readonly": Unrecorded("node-exporter", _POD | {"device", "fstype", "mountpoint"}, _LATER),
}
"""Labels as in the exporters' documents and sources, and of the scrape: kube-state-metrics' docs/metrics/workload,
nginx/kubernetes-ingress' page on Prometheus, Thanos' cmd/thanos/compact.go and pkg/shipper/shipper.go of 0.42."""
NEWER_LABELS: Final[Mapping[str, Labels]] = {"pg_stat_activity_max_tx_duration": frozenset({"usename"})}
"""Labels that a pinned release has and the recorded, older one lacks: postgres_exporter has `usename` since 0.12 (its
CHANGELOG.md, pull request 673). A rule may use one to leave series out, which changes nothing where it is missing."""


def recorded() -> Series:
    """The series that Prometheus had in a live cluster."""
    jobs = json.loads(RECORDING.read_text(encoding="utf-8"))["series"]
    series: Series = {}
    for job, metrics in jobs.items():
        for metric, labels in metrics.items():
            series.setdefault(metric, {})[job] = frozenset(labels)
    return series


def with_newer_labels(labels_by_metric: Mapping[str, Iterable[str]]) -> dict[str, Labels]:
    """These metrics with the labels that the pinned releases have besides."""
    return {
        metric: frozenset(labels) | NEWER_LABELS.get(metric, frozenset()) for metric, labels in labels_by_metric.items()
    }


def on_page(page: str) -> list[Sample]:
    """The samples of an exporter's page, under the names that they have there.

    With the lines about types, the parser would add `_total` to counters whose names do not end so.
    """
    bare = "".join(f"{line}\n" for line in page.splitlines() if not line.startswith("#"))
    return [sample for family in text_string_to_metric_families(bare) for sample in family.samples]


def api_metrics(folder: Path) -> dict[str, Labels]:
    """Labels of the metrics that an API with a model exposes, or will expose once there is something to count.

    The API's files go to ``folder``.
    """
    bundle = folder / "bundle"
    bundle.mkdir()
    make_bundle(bundle)
    metrics = make_api(bundle, folder).service.metrics
    # A metric with labels has no sample before the first of them is counted.
    declared = {
        metric._name: set(metric._labelnames)
        for metric in vars(metrics).values()
        if isinstance(metric, MetricWrapperBase)
    }
    labels_by_metric: dict[str, Labels] = {}
    for family in metrics.registry.collect():
        sampled = {label for sample in family.samples for label in sample.labels} - {"le"}
        for suffix in _SUFFIXES.get(family.type, ("",)):
            own = {"le"} if suffix == _BUCKET else set()
            labels_by_metric[family.name + suffix] = frozenset(sampled | declared.get(family.name, set()) | own)
    return labels_by_metric


def exposed(folder: Path) -> Series:
    """All metrics except those that rules record."""
    there = recorded()
    for metric, jobs in there.items():
        there[metric] = {job: labels | NEWER_LABELS.get(metric, frozenset()) for job, labels in jobs.items()}
    there["up"] |= dict.fromkeys(("thanos-compact", "thanos-query", "thanos-store"), _POD)
    there["up"]["thanos-sidecar"] = _SCRAPED | {"namespace"}
    for metric, unrecorded in UNRECORDED.items():
        there.setdefault(metric, {})[unrecorded.job] = unrecorded.labels
    for job, metrics in metric_names.JOBS.items():
        for metric in metrics:
            there.setdefault(metric, {})[job] = frozenset({"job", *metric_names.LABELS.get(metric, ())})
    # The labels that a scrape adds are those that it gives to every target.
    scrape = there["up"][API]
    for metric, labels in api_metrics(folder).items():
        there.setdefault(metric, {})[API] = labels | scrape
    return there


@dataclass
class Exposed:
    """Looks up the labels of a selector's series; those of recording rules are worked out from their expressions."""

    series: Series
    rules: Iterable[dict[str, Any]] = ()
    _records: dict[str, Labels] = field(default_factory=dict)

    def __call__(self, selector: Selector) -> Labels | None:
        """The labels that its series can have; None if there are no such series."""
        from_rules = self._record(selector.metric)
        if from_rules is not None:
            return from_rules
        jobs = self.series.get(selector.metric, {})
        asked = [matcher for matcher in selector.matchers if matcher.label == "job"]
        chosen = [labels for job, labels in jobs.items() if all(_matches(matcher, job) for matcher in asked)]
        return frozenset[str]().union(*chosen) if chosen else None

    def _record(self, metric: str) -> Labels | None:
        if metric not in self._records:
            rules = [rule for rule in self.rules if rule.get("record") == metric]
            if not rules:
                return None
            answers = [Check(self).labels(parse(rule["expr"])) or frozenset() for rule in rules]
            own = [frozenset(rule.get("labels", {})) for rule in rules]
            self._records[metric] = frozenset[str]().union(*answers, *own)
        return self._records[metric]


def _matches(matcher: Matcher, value: str) -> bool:
    """Whether a whole value matches, as in Prometheus."""
    same = re.fullmatch(matcher.value, value) is not None if "~" in matcher.operator else matcher.value == value
    return same != matcher.operator.startswith("!")
