"""Rows of Infrastructure Health about the edge, limits, scheduled work, backups and the bucket of metrics."""

from __future__ import annotations

from dashboards.panels import OURS, Panel, Query, Row, Stat, Table, Timeseries, count

LAST_DAY = "[26h]"
"""Jobs push once a day, and a pushgateway that has moved has nothing until then."""
LONG_EXPIRED = -86_400 * 36_500
"""Below any time that a certificate can have left: an expired one is red."""


def _pushed(metric: str) -> str:
    """Return the last value of a metric that a daily job pushes."""
    return f"last_over_time({metric}{LAST_DAY})"


def edge() -> Row:
    """Return what a client of the edge sees, and whether the controller's configuration is in force."""
    panels: list[Panel] = [
        Stat(
            title="Edge does not answer",
            runbook="blackbox.md#edgeprobefailing",
            description="Addresses of the edge whose probe fails; it is a request like a client's.",
            queries=[count('probe_success{job="probe"} == 0')],
            thresholds=[(1, "red")],
        ),
        Stat(
            title="Certificate of the edge",
            runbook="blackbox.md#certificateexpiring",
            description="Time until it expires.",
            queries=[Query(expr='min(probe_ssl_earliest_cert_expiry{job="probe"}) - time()')],
            unit="s",
            thresholds=[(LONG_EXPIRED, "red"), (3 * 86_400, "yellow"), (21 * 86_400, "green")],
        ),
        Stat(
            title="Refused configurations",
            runbook="ingress.md#ingressreloadfailed",
            description="Pods of the edge that go on with an old configuration.",
            queries=[count("nginx_ingress_controller_nginx_last_reload_status == 0")],
            thresholds=[(1, "yellow")],
        ),
        Timeseries(
            title="Time of the probe",
            runbook="blackbox.md#edgeprobefailing",
            description="How long the request through the edge takes.",
            queries=[Query(expr='probe_duration_seconds{job="probe"}', legend="{{instance}}")],
            unit="s",
            width=12,
        ),
    ]
    return Row(title="Edge", panels=panels)


def limits() -> Row:
    """Return which containers and namespaces are at their limits."""
    where = f'{{{OURS}, container!=""}}'
    throttled = f"sum by (pod, container) (rate(container_cpu_cfs_throttled_periods_total{where}[$__rate_interval]))"
    periods = f"sum by (pod, container) (rate(container_cpu_cfs_periods_total{where}[$__rate_interval]))"
    panels: list[Panel] = [
        Timeseries(
            title="Killed for their memory",
            runbook="kube-state-metrics.md#containeroutofmemory",
            description="Processes killed in the hour before, and containers whose last end was that.",
            queries=[
                Query(
                    expr=f"sum by (pod, container) (increase(container_oom_events_total{where}[1h])) > 0",
                    legend="{{pod}} {{container}}",
                ),
                Query(
                    expr=f'kube_pod_container_status_last_terminated_reason{{{OURS}, reason="OOMKilled"}}',
                    legend="{{pod}} {{container}}, ended",
                ),
            ],
        ),
        Timeseries(
            title="Throttled",
            runbook="kube-state-metrics.md#containerthrottled",
            description="Share of the periods in which a container waited for its processor.",
            queries=[Query(expr=f"{throttled} / {periods}", legend="{{pod}} {{container}}")],
            unit="percentunit",
            thresholds=[(0.5, "yellow")],
        ),
        Timeseries(
            title="Quotas",
            runbook="kube-state-metrics.md#quotanearlyused",
            description="Used share of what a namespace may have.",
            queries=[
                Query(
                    expr=f'kube_resourcequota{{{OURS}, type="used"}} / ignoring (type) '
                    f'(kube_resourcequota{{{OURS}, type="hard"}} > 0)',
                    legend="{{namespace}} {{resource}}",
                )
            ],
            unit="percentunit",
            thresholds=[(0.9, "red")],
        ),
    ]
    return Row(title="Limits", panels=panels)


def scheduled_work() -> Row:
    """Return when each schedule last succeeded, and which never did."""
    last = "max by (cronjob) (kube_cronjob_status_last_successful_time)"
    never = f"max by (cronjob) (kube_cronjob_created) unless on (cronjob) {last}"
    panels: list[Panel] = [
        Table(
            title="Time since scheduled work last succeeded",
            runbook="backup.md#backupmissing",
            description="Seconds for each CronJob; for one that never succeeded, since it was created.",
            queries=[
                Query(
                    expr=f'label_replace(time() - {last}, "since", "its last success", "", "") '
                    f'or label_replace(time() - ({never}), "since", "it was created: it never succeeded", "", "")'
                )
            ],
            unit="s",
            width=12,
        ),
        Timeseries(
            title="Jobs that run",
            description="Active jobs of each CronJob.",
            queries=[Query(expr="sum by (cronjob) (kube_cronjob_status_active)", legend="{{cronjob}}")],
            width=12,
        ),
    ]
    return Row(title="Scheduled work", panels=panels)


def backups() -> Row:
    """Return how large backups are, how fast they grow, and how much space they have."""
    panels: list[Panel] = [
        Timeseries(
            title="Size of a backup",
            description="The last successful one of each kind.",
            queries=[Query(expr=_pushed("churn_backup_bytes"), legend="{{kind}}")],
            unit="bytes",
        ),
        Timeseries(
            title="New bytes of a backup",
            description="What no earlier backup had: all of a dump, the new contents of artifacts.",
            queries=[Query(expr=_pushed("churn_backup_new_bytes"), legend="{{kind}}")],
            unit="bytes",
        ),
        Timeseries(
            title="Space for backups",
            runbook="backup.md#backupvolumefilling",
            description="Free space of the volume after the last backup, and its size.",
            queries=[
                Query(expr=f"min({_pushed('churn_backup_free_bytes')})", legend="free"),
                Query(expr=f"max({_pushed('churn_backup_volume_bytes')})", legend="size"),
            ],
            unit="bytes",
        ),
    ]
    return Row(title="Backups", panels=panels)


def bucket_of_metrics() -> Row:
    """Return whether metrics reach Thanos' bucket and are merged there; empty in a stack without Thanos."""
    panels: list[Panel] = [
        Stat(
            title="Compactor halted",
            runbook="thanos-compact.md#thanoscompacthalted",
            description="1 if it waits for a person.",
            queries=[Query(expr="max(thanos_compact_halted)")],
            thresholds=[(1, "red")],
            width=6,
        ),
        Timeseries(
            title="Blocks uploaded",
            runbook="thanos-store.md#thanosuploadsfailing",
            description="By the sidecars of Prometheus in the three hours before, and how often they failed.",
            queries=[
                Query(expr="sum(increase(thanos_shipper_uploads_total[3h]))", legend="uploaded"),
                Query(expr="sum(increase(thanos_shipper_upload_failures_total[3h]))", legend="failed"),
            ],
            width=18,
        ),
    ]
    return Row(title="Metrics in the bucket", panels=panels)
