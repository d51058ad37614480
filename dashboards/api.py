"""API Performance: whether the API is up, how fast it answers, and what it refuses."""

from __future__ import annotations

from dashboards.panels import Dashboard, Panel, Query, Row, Stat, Timeseries, Variable, count

REQUESTS = "churn_http_requests_total"
LATENCY = "churn_http_request_duration_seconds_bucket"


def _rate(metric: str, by: str = "", *, where: str = "") -> str:
    grouped = f"sum by ({by})" if by else "sum"
    chosen = ", ".join(filter(None, [where, 'pod=~"$pod"']))
    return f"{grouped} (rate({metric}{{{chosen}}}[$__rate_interval]))"


def _quantile(q: float, by: str = "le") -> str:
    return f"histogram_quantile({q}, {_rate(LATENCY, by)})"


def _summary() -> list[Panel]:
    # Only routes of clients: a pod that waits for its model fails its probes, which is no client's error.
    ours = 'route=~"/v1/.+"'
    failed = _rate(REQUESTS, where=f'{ours}, status=~"5.."')
    return [
        Stat(
            title="Pods up",
            description="Pods of the API that answer scrapes.",
            queries=[count('up{job="api"} == 1')],
            runbook="api.md#apidown",
        ),
        Stat(
            title="Requests",
            description="Answered requests per second, all routes.",
            queries=[Query(expr=_rate(REQUESTS))],
            unit="reqps",
        ),
        Stat(
            title="Errors",
            description="Share of requests below /v1 that the API answered with 5xx; the objective allows 0.1 %.",
            queries=[Query(expr=f"({failed} or vector(0)) / {_rate(REQUESTS, where=ours)}")],
            runbook="api.slo.md#apiavailabilityburnfast",
            unit="percentunit",
            thresholds=[(0.001, "yellow"), (0.01, "red")],
        ),
        Stat(
            title="p95",
            description="95 % of requests are answered within this time; the objective is 100 ms for 99 %.",
            queries=[Query(expr=_quantile(0.95))],
            runbook="api.slo.md#apilatencyburnfast",
            unit="s",
            thresholds=[(0.05, "yellow"), (0.1, "red")],
        ),
        Stat(
            title="In progress",
            description="Requests being answered right now.",
            queries=[Query(expr='sum(churn_http_requests_in_flight{pod=~"$pod"})')],
        ),
        Stat(
            title="Redis",
            description="1 if every pod can write to the shared cache; 0 also in a stack without one.",
            queries=[Query(expr="min(churn_redis_up)")],
        ),
    ]


def _traffic() -> list[Panel]:
    return [
        Timeseries(
            title="Requests by route",
            description="Answered requests per second.",
            queries=[Query(expr=_rate(REQUESTS, "route"), legend="{{route}}")],
            unit="reqps",
            stacked=True,
        ),
        Timeseries(
            title="Answers by status",
            description="Answered requests per second, by HTTP status.",
            queries=[Query(expr=_rate(REQUESTS, "status"), legend="{{status}}")],
            unit="reqps",
            stacked=True,
        ),
        Timeseries(
            title="Latency",
            description="Time from a request's first byte to the last byte of its answer.",
            queries=[Query(expr=_quantile(q), legend=f"p{round(q * 100)}") for q in (0.5, 0.95, 0.99)],
            unit="s",
            thresholds=[(0.1, "red")],
        ),
        Timeseries(
            title="p95 by route",
            description="The same for each route.",
            queries=[Query(expr=_quantile(0.95, "le, route"), legend="{{route}}")],
            unit="s",
        ),
        Timeseries(
            title="Customers per batch",
            description="Median and 95 % of the customers in a batch request.",
            queries=[
                Query(
                    expr=f"histogram_quantile({q}, {_rate('churn_batch_rows_bucket', 'le')})",
                    legend=f"p{round(q * 100)}",
                )
                for q in (0.5, 0.95)
            ],
        ),
        Timeseries(
            title="Processor time by pod",
            description="Processor seconds per second; a pod may use 1 core and the autoscaler aims at 0.35.",
            queries=[
                Query(
                    expr='sum by (pod) (rate(process_cpu_seconds_total{job="api", pod=~"$pod"}[$__rate_interval]))',
                    legend="{{pod}}",
                )
            ],
            unit="cores",
        ),
    ]


def _objectives() -> list[Panel]:
    windows = ("5m", "1h", "6h", "3d")
    return [
        Timeseries(
            title="Failing predictions against the objective",
            description="Share of failing predictions over each window; 0.1 % may fail, the line is 14.4 times that.",
            queries=[Query(expr=f"churn:slo_errors:ratio_rate{window}", legend=window) for window in windows],
            unit="percentunit",
            width=12,
            thresholds=[(0.0144, "red")],
            runbook="api.slo.md#apiavailabilityburnfast",
        ),
        Timeseries(
            title="Slow predictions against the objective",
            description="Share of single predictions over 100 ms; 1 % may be, the line is 14.4 times that.",
            queries=[Query(expr=f"churn:slo_slow:ratio_rate{window}", legend=window) for window in windows],
            unit="percentunit",
            width=12,
            thresholds=[(0.144, "red")],
            runbook="api.slo.md#apilatencyburnfast",
        ),
    ]


def _refused() -> list[Panel]:
    return [
        Timeseries(
            title="API keys",
            description="Checks of an API key per second: a surge of invalid ones is somebody guessing.",
            runbook="api.md#apikeysurge",
            queries=[Query(expr=_rate("churn_auth_total", "outcome"), legend="{{outcome}}")],
            unit="ops",
        ),
        Timeseries(
            title="Rate limit",
            description="Decisions per second; at `counted alone` Redis did not answer, so the pod counted itself.",
            runbook="cache.md#cacheslow",
            queries=[
                Query(expr=_rate("churn_rate_limit_total", "outcome"), legend="{{outcome}}"),
                Query(expr=_rate("churn_rate_limit_alone_total"), legend="counted alone"),
            ],
            unit="ops",
        ),
        Timeseries(
            title="Prediction cache",
            description="Look-ups per second; `off` means that Redis did not answer in time.",
            queries=[Query(expr=_rate("churn_prediction_cache_total", "outcome"), legend="{{outcome}}")],
            unit="ops",
        ),
    ]


def page() -> Dashboard:
    """Return the whole page."""
    return Dashboard(
        uid="churn-api",
        title="API Performance",
        description="Traffic, errors and latency of the prediction API.",
        rows=[
            Row(title="Now", panels=_summary()),
            Row(title="Traffic", panels=_traffic()),
            Row(title="Objectives", panels=_objectives()),
            Row(title="Refused and cached", panels=_refused()),
        ],
        variables=[Variable(name="pod", metric='up{job="api"}', label="pod")],
    )
