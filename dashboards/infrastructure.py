"""Infrastructure Health: targets, pods, nodes, volumes, the database; `parts/operations.py` has the rest."""

from __future__ import annotations

from dashboards.panels import OURS, Dashboard, Panel, Query, Row, Stat, Table, Timeseries, count
from dashboards.parts import operations

NOT_READY = 'kube_pod_container_status_ready == 0 and on (namespace, pod) kube_pod_status_phase{phase="Running"} == 1'


def _health() -> list[Panel]:
    return [
        Stat(
            title="Targets down",
            runbook="prometheus.md#targetdown",
            description="Addresses that Prometheus cannot scrape.",
            queries=[count("up == 0")],
            thresholds=[(1, "red")],
        ),
        Stat(
            title="Alerts",
            description="Alerts that fire now, without the Watchdog, which always does.",
            queries=[count('ALERTS{alertstate="firing", alertname!="Watchdog"}')],
            thresholds=[(1, "red")],
        ),
        Stat(
            title="Pods not ready",
            runbook="kube-state-metrics.md#podnotready",
            description="Containers of running pods that are not ready.",
            queries=[count(NOT_READY)],
            thresholds=[(1, "yellow")],
        ),
        Stat(
            title="Restarts",
            runbook="kube-state-metrics.md#podrestarting",
            description="Restarts of containers in the range shown.",
            queries=[Query(expr="sum(increase(kube_pod_container_status_restarts_total[$__range]))")],
            thresholds=[(1, "yellow"), (10, "red")],
        ),
        Stat(
            title="Nodes",
            description="Nodes whose kubelet answers.",
            queries=[Query(expr='count(up{job="kubelet"} == 1)')],
        ),
        Stat(
            title="API replicas",
            description="Replicas that the autoscaler has, next to its maximum.",
            queries=[
                Query(expr='kube_horizontalpodautoscaler_status_current_replicas{horizontalpodautoscaler="api"}'),
                Query(expr='kube_horizontalpodautoscaler_spec_max_replicas{horizontalpodautoscaler="api"}'),
            ],
        ),
        Table(
            title="Alerts that fire",
            description="By severity; each has a runbook in docs/runbooks.",
            queries=[
                Query(expr='sum by (alertname, severity, workload) (ALERTS{alertstate="firing"})'),
            ],
            width=12,
        ),
        Table(
            title="Targets",
            description="1 for each job whose every address can be scraped.",
            queries=[Query(expr="min by (job) (up)")],
            width=12,
        ),
    ]


def _pods() -> list[Panel]:
    return [
        Timeseries(
            title="Processor time by pod",
            description="Processor seconds per second.",
            queries=[
                Query(
                    expr=f'sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{{{OURS}, container!=""}}[$__rate_interval]))',  # noqa: E501 - one expression
                    legend="{{pod}}",
                )
            ],
            unit="cores",
        ),
        Timeseries(
            title="Memory by pod",
            description="Working set, which is what the limit is held against.",
            queries=[
                Query(
                    expr=f'sum by (namespace, pod) (container_memory_working_set_bytes{{{OURS}, container!=""}})',
                    legend="{{pod}}",
                )
            ],
            unit="bytes",
        ),
        Timeseries(
            title="Volumes",
            runbook="node-exporter.md#volumefilling",
            description="Used share of each persistent volume.",
            queries=[
                Query(
                    expr="1 - kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes",
                    legend="{{persistentvolumeclaim}}",
                )
            ],
            unit="percentunit",
            thresholds=[(0.9, "red")],
        ),
    ]


def _nodes() -> list[Panel]:
    return [
        Timeseries(
            title="Processor by node",
            description="Share of the processor time that is used.",
            queries=[
                Query(
                    expr='1 - avg by (node) (rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval]))',
                    legend="{{node}}",
                )
            ],
            unit="percentunit",
        ),
        Timeseries(
            title="Memory by node",
            runbook="node-exporter.md#nodememorylow",
            description="Share of the memory that is not available to a new process.",
            queries=[
                Query(
                    expr="1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
                    legend="{{node}}",
                )
            ],
            unit="percentunit",
            thresholds=[(0.9, "red")],
        ),
        Timeseries(
            title="Disks by node",
            runbook="node-exporter.md#nodediskfilling",
            description="Used share of each disk that can be written to.",
            queries=[
                Query(expr="1 - churn:node_disk_avail:bytes / churn:node_disk_size:bytes", legend="{{node}} {{device}}")
            ],
            unit="percentunit",
            thresholds=[(0.85, "red")],
        ),
    ]


def _database() -> list[Panel]:
    return [
        Timeseries(
            title="Connections of PostgreSQL",
            runbook="postgres-exporter.md#postgresconnectionshigh",
            description="Connections that are held, and how many the server allows.",
            queries=[
                Query(expr="max(sum by (instance) (pg_stat_database_numbackends))", legend="held"),
                Query(expr="max(pg_settings_max_connections)", legend="allowed"),
            ],
        ),
        Timeseries(
            title="Transactions of PostgreSQL",
            runbook="postgres-exporter.md#postgresdeadlocks",
            description="Transactions per second that were committed, rolled back, and ended for a deadlock.",
            queries=[
                Query(expr="sum(rate(pg_stat_database_xact_commit[$__rate_interval]))", legend="committed"),
                Query(expr="sum(rate(pg_stat_database_xact_rollback[$__rate_interval]))", legend="rolled back"),
                Query(expr="sum(rate(pg_stat_database_deadlocks[$__rate_interval]))", legend="deadlocks"),
            ],
            unit="ops",
        ),
        Timeseries(
            title="Longest transaction of PostgreSQL",
            runbook="postgres-exporter.md#postgrestransactionold",
            description="For how long the oldest transaction of each database has been open.",
            queries=[Query(expr="max by (datname) (pg_stat_activity_max_tx_duration)", legend="{{datname}}")],
            unit="s",
            thresholds=[(900, "red")],
        ),
    ]


def page() -> Dashboard:
    """Return the whole page."""
    return Dashboard(
        uid="churn-infrastructure",
        title="Infrastructure Health",
        description="What the platform runs on.",
        rows=[
            Row(title="Health", panels=_health()),
            Row(title="Pods and volumes", panels=_pods()),
            Row(title="Nodes", panels=_nodes()),
            Row(title="Database", panels=_database()),
            operations.edge(),
            operations.limits(),
            operations.scheduled_work(),
            operations.backups(),
            operations.bucket_of_metrics(),
        ],
    )
