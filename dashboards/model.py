"""Model Metrics: which version serves, how old it is, and what it predicts."""

from __future__ import annotations

from dashboards.panels import Dashboard, Panel, Query, Row, Stat, Table, Timeseries, Variable, count

SCORE = "churn_prediction_score"


def _versions() -> list[Panel]:
    return [
        Stat(
            title="Versions in service",
            description="Different versions that pods serve; more than 1 lasts only as long as a change of version.",
            queries=[Query(expr="count(count by (version) (churn_model_info))")],
            thresholds=[(2, "yellow")],
        ),
        Stat(
            title="Age",
            description="Time since the oldest serving model was trained.",
            queries=[Query(expr="max(churn_model_age_seconds)")],
            unit="s",
        ),
        Stat(
            title="Stale pods",
            description="Pods that serve another version than the alias names.",
            queries=[Query(expr="sum(churn_model_stale)")],
            thresholds=[(1, "yellow")],
        ),
        Stat(
            title="Registry",
            description="Pods that reach the model registry.",
            queries=[Query(expr="sum(churn_registry_up)")],
            width=3,
        ),
        Stat(
            title="Refused models",
            description="Models that failed their checks and were not taken into service, in the range shown.",
            queries=[Query(expr="sum(increase(churn_model_refused_total[$__range]))")],
            thresholds=[(1, "red")],
            width=3,
        ),
        Stat(
            title="Moved by hand",
            description="Pods whose alias names a version that churn did not put there, whether or not it serves.",
            queries=[Query(expr="sum(churn_model_alias_moved_by_hand)")],
            thresholds=[(1, "yellow")],
            width=3,
        ),
        Stat(
            title="Changes of model",
            description="Models put into service, in the range shown.",
            queries=[Query(expr="sum(increase(churn_model_swaps_total[$__range]))")],
            width=3,
        ),
        Table(
            title="Models",
            description="What each pod serves and where it came from.",
            queries=[Query(expr="sum by (pod, version, model_type, source) (churn_model_info)")],
            width=12,
        ),
        Timeseries(
            title="Time since the registry last answered",
            description="The oldest of all pods. Serving goes on without the registry; only new versions wait.",
            queries=[Query(expr="max(churn_registry_last_success_age_seconds)", legend="oldest")],
            unit="s",
            width=12,
        ),
    ]


def _predictions() -> list[Panel]:
    total = 'sum by (model_version) (rate(churn_predictions_total{model_version=~"$version"}[$__rate_interval]))'
    return [
        Timeseries(
            title="Customers scored",
            description="Per second, by version.",
            queries=[Query(expr=total, legend="version {{model_version}}")],
            unit="ops",
        ),
        Timeseries(
            title="Predicted to churn",
            description="Share of customers scored at or above the threshold, by version.",
            queries=[
                Query(
                    expr=f'sum by (model_version) (rate(churn_predictions_total{{decision="churn"}}[$__rate_interval])) / {total}',  # noqa: E501 - one expression
                    legend="version {{model_version}}",
                )
            ],
            unit="percentunit",
        ),
    ]


def _scores() -> list[Panel]:
    quantile = f"sum by (le, model_version) (rate({SCORE}_bucket{{model_version=~'$version'}}[$__rate_interval]))"
    return [
        Timeseries(
            title="Mean score",
            description="Mean predicted probability, by version: a jump without a new version is drift or broken data.",
            queries=[
                Query(
                    expr=f"sum by (model_version) (rate({SCORE}_sum[$__rate_interval])) / sum by (model_version) (rate({SCORE}_count[$__rate_interval]))",  # noqa: E501 - one expression
                    legend="version {{model_version}}",
                )
            ],
            unit="percentunit",
        ),
        Timeseries(
            title="Score quantiles",
            description="Quantiles of the predicted probability, by version.",
            queries=[
                Query(
                    expr=f"histogram_quantile({q}, {quantile})",
                    legend=f"p{round(q * 100)} version {{{{model_version}}}}",
                )
                for q in (0.1, 0.5, 0.9)
            ],
            unit="percentunit",
        ),
        Timeseries(
            title="Risk bands",
            description="Customers scored per second, by risk band.",
            queries=[
                Query(expr="sum by (band) (rate(churn_predictions_by_band_total[$__rate_interval]))", legend="{{band}}")
            ],
            unit="ops",
            stacked=True,
        ),
        Table(
            title="Score bins against training",
            description=(
                "Share of the scores in each bin in the range shown (A), and in the training data (B). "
                "Bins go from the lowest scores (0) to the highest."
            ),
            queries=[
                Query(
                    expr='sum by (bin) (increase(churn_feature_bin_total{feature="score"}[$__range])) / on () group_left () sum(increase(churn_feature_bin_total{feature="score"}[$__range]))'  # noqa: E501 - one expression
                ),
                Query(expr='avg by (bin) (churn_feature_bin_reference_ratio{feature="score"})'),
            ],
            unit="percentunit",
        ),
    ]


def _drift() -> list[Panel]:
    chosen = 'model_version=~"$version"'
    return [
        Stat(
            title="Drifting",
            description="Features, and the score, whose distribution over the last hour is above its threshold.",
            queries=[count("churn:feature_psi:1h > churn:feature_psi:threshold1h")],
            thresholds=[(1, "yellow"), (5, "red")],
            runbook="api.drift.md#featuredrift",
        ),
        Stat(
            title="Customers in the hour",
            description="Scored in the last hour; below 100 the index is not computed.",
            queries=[Query(expr='sum(churn:feature_rows:increase1h{feature="score"})')],
        ),
        Timeseries(
            title="Stability index of the score",
            description="And the threshold, which falls with the number of customers and is never below 0.1.",
            queries=[
                Query(expr=f'churn:feature_psi:1h{{feature="score", {chosen}}}', legend="version {{model_version}}"),
                Query(expr=f'churn:feature_psi:threshold1h{{feature="score", {chosen}}}', legend="threshold"),
            ],
            runbook="api.drift.md#scoredrift",
        ),
        Timeseries(
            title="Stability index of the features",
            description="The five features that moved most, over the last hour.",
            queries=[Query(expr=f'topk(5, churn:feature_psi:1h{{feature!="score", {chosen}}})', legend="{{feature}}")],
            runbook="api.drift.md#featuredrift",
        ),
    ]


def page() -> Dashboard:
    """Return the whole page."""
    return Dashboard(
        uid="churn-model",
        title="Model Metrics",
        description="Versions in service and what they predict.",
        rows=[
            Row(title="Versions", panels=_versions()),
            Row(title="Predictions", panels=[*_predictions(), *_scores()]),
            Row(title="Drift", panels=_drift()),
        ],
        variables=[Variable(name="version", metric="churn_predictions_total", label="model_version")],
        since="now-24h",
    )
