"""Which metrics there are: of the API from its own exposition, of the rest from what those programs document."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from support.api import make_api
from support.bundles import make_bundle

from ops.backup_metrics import HELP as BACKUPS

OTHERS: Final = frozenset({
    # Prometheus itself: of every scrape, and of its rules.
    "ALERTS", "up", "process_cpu_seconds_total", "prometheus_config_last_reload_successful",
    "prometheus_notifications_dropped_total", "prometheus_tsdb_head_series",
    "prometheus_notifications_alertmanagers_discovered", "prometheus_rule_evaluation_failures_total",
    # Alertmanager
    "alertmanager_config_last_reload_successful", "alertmanager_notifications_failed_total",
    # ops/retrain.py, through the Pushgateway
    "churn_training_verdict",
    *BACKUPS,  # ops/backup_metrics.py, through it too
    # kube-state-metrics 2.19, docs/metrics
    "kube_cronjob_created", "kube_cronjob_status_active", "kube_cronjob_status_last_schedule_time",
    "kube_cronjob_status_last_successful_time", "kube_deployment_status_replicas_available",
    "kube_horizontalpodautoscaler_spec_max_replicas", "kube_horizontalpodautoscaler_status_current_replicas",
    "kube_horizontalpodautoscaler_status_desired_replicas", "kube_job_status_active", "kube_job_status_failed",
    "kube_job_status_succeeded", "kube_pod_container_resource_requests", "kube_pod_info", "kube_pod_owner",
    "kube_pod_status_ready", "kube_resourcequota",
    "kube_pod_container_status_ready", "kube_pod_container_status_restarts_total", "kube_pod_status_phase",
    "kube_statefulset_replicas", "kube_statefulset_status_replicas_ready",
    # kubelet and cAdvisor
    "container_cpu_usage_seconds_total", "container_memory_working_set_bytes",
    "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes",
    # blackbox exporter
    "probe_ssl_earliest_cert_expiry", "probe_success",
    # node-exporter
    "node_cpu_seconds_total", "node_filesystem_avail_bytes", "node_filesystem_size_bytes",
    "node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes",
})  # fmt: skip


_SUFFIXES: Final = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}


def api_metrics(folder: Path) -> set[str]:
    """Names that an API with a model exposes, or will once there is something to count; it is made in ``folder``."""
    bundle = folder / "bundle"
    bundle.mkdir()
    make_bundle(bundle)
    api = make_api(bundle, folder)
    families = api.service.metrics.registry.collect()
    return {family.name + suffix for family in families for suffix in _SUFFIXES.get(family.type, ("",))}
