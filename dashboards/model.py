"""Model Metrics: which version serves, how old it is, and what it predicts."""

from __future__ import annotations

from dashboards.panels import MODELS, Dashboard, Panel, Query, Row, Stat, Table, Timeseries, Variable, count

SCORE = "churn_prediction_score"
MODEL = 'model=~"$model"'
CHOSEN = f'{MODEL}, model_version=~"$version"'
VERSION = "{{model}} version {{model_version}}"


def _rate(metric: str, by: str, where: str = CHOSEN) -> str:
    return f"sum by ({by}) (rate({metric}{{{where}}}[$__rate_interval]))"


def _versions() -> list[Panel]:
    return [
        Stat(
            title="Versions in service",
            description="The largest number of versions that any one model has in service; more than 1 lasts only as "
            "long as a change of version.",
            queries=[Query(expr=f"max(count by (model) (count by (model, version) (churn_model_info{{{MODEL}}})))")],
            thresholds=[(2, "yellow")],
        ),
        Stat(
            title="Age",
            description="Time since the oldest serving model was trained.",
            queries=[Query(expr=f"max(churn_model_age_seconds{{{MODEL}}})")],
            unit="s",
        ),
        Stat(
            title="Stale pods",
            description="Pods that serve another version than the alias names; a pod counts once for each such model.",
            queries=[Query(expr=f"sum(churn_model_stale{{{MODEL}}})")],
            thresholds=[(1, "yellow")],
        ),
        Stat(
            title="Registry",
            description="Pods that got an answer from the registry about every one of these models.",
            queries=[count(f"min by (pod) (churn_registry_up{{{MODEL}}}) == 1")],
            width=3,
        ),
    ]


def _changes() -> list[Panel]:
    return [
        Stat(
            title="Refused models",
            description="Models that failed their checks and were not taken into service, in the range shown.",
            queries=[Query(expr=f"sum(increase(churn_model_refused_total{{{MODEL}}}[$__range]))")],
            thresholds=[(1, "red")],
            width=3,
        ),
        Stat(
            title="Moved by hand",
            description="Pods whose alias names a version that churn did not put there, whether or not it serves.",
            queries=[Query(expr=f"sum(churn_model_alias_moved_by_hand{{{MODEL}}})")],
            thresholds=[(1, "yellow")],
            width=3,
        ),
        Stat(
            title="Changes of model",
            description="Models put into service, in the range shown.",
            queries=[Query(expr=f"sum(increase(churn_model_swaps_total{{{MODEL}}}[$__range]))")],
            width=3,
        ),
        Table(
            title="Models",
            description="What each pod serves and where it came from.",
            queries=[Query(expr=f"sum by (pod, model, version, model_type, source) (churn_model_info{{{MODEL}}})")],
            width=12,
        ),
        Timeseries(
            title="Time since the registry last answered",
            description="The oldest of all pods. Serving goes on without the registry; only new versions wait.",
            queries=[
                Query(
                    expr=f"max by (model) (churn_registry_last_success_age_seconds{{{MODEL}}})",
                    legend="{{model}}, oldest",
                )
            ],
            unit="s",
            width=12,
        ),
    ]


def _predictions() -> list[Panel]:
    total = _rate("churn_predictions_total", "model, model_version")
    churn = _rate("churn_predictions_total", "model, model_version", f'{CHOSEN}, decision="churn"')
    return [
        Timeseries(
            title="Customers scored",
            description="Per second, by version.",
            queries=[Query(expr=total, legend=VERSION)],
            unit="ops",
        ),
        Timeseries(
            title="Predicted to churn",
            description="Share of customers scored at or above the threshold, by version.",
            queries=[Query(expr=f"{churn} / {total}", legend=VERSION)],
            unit="percentunit",
        ),
    ]


def _scores() -> list[Panel]:
    quantile = _rate(f"{SCORE}_bucket", "le, model, model_version")
    mean = f"{_rate(f'{SCORE}_sum', 'model, model_version')} / {_rate(f'{SCORE}_count', 'model, model_version')}"
    bins = f'{MODEL}, feature="score"'
    scored = f"(increase(churn_feature_bin_total{{{bins}}}[$__range]))"
    return [
        Timeseries(
            title="Mean score",
            description="Mean predicted probability, by version: a jump without a new version is drift or broken data.",
            queries=[Query(expr=mean, legend=VERSION)],
            unit="percentunit",
        ),
        Timeseries(
            title="Score quantiles",
            description="Quantiles of the predicted probability, by version.",
            queries=[
                Query(
                    expr=f"histogram_quantile({q}, {quantile})",
                    legend=f"p{round(q * 100)} {VERSION}",
                )
                for q in (0.1, 0.5, 0.9)
            ],
            unit="percentunit",
        ),
        Timeseries(
            title="Risk bands",
            description="Customers scored per second, by risk band.",
            queries=[Query(expr=_rate("churn_predictions_by_band_total", "band"), legend="{{band}}")],
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
                Query(expr=f"sum by (model, bin) {scored} / on (model) group_left () sum by (model) {scored}"),
                Query(expr=f"avg by (model, bin) (churn_feature_bin_reference_ratio{{{bins}}})"),
            ],
            unit="percentunit",
        ),
    ]


def _drift() -> list[Panel]:
    return [
        Stat(
            title="Drifting",
            description="Features, and the score, whose distribution over the last hour is above its threshold.",
            queries=[count(f"churn:feature_psi:1h{{{MODEL}}} > churn:feature_psi:threshold1h")],
            thresholds=[(1, "yellow"), (5, "red")],
            runbook="api.drift.md#featuredrift",
        ),
        Stat(
            title="Customers in the hour",
            description="Scored in the last hour; below 100 the index is not computed.",
            queries=[Query(expr=f'sum(churn:feature_rows:increase1h{{{MODEL}, feature="score"}})')],
        ),
        Timeseries(
            title="Stability index of the score",
            description="And the threshold, which falls with the number of customers and is never below 0.1.",
            queries=[
                Query(expr=f'churn:feature_psi:1h{{feature="score", {CHOSEN}}}', legend=VERSION),
                Query(
                    expr=f'churn:feature_psi:threshold1h{{feature="score", {CHOSEN}}}', legend=f"threshold of {VERSION}"
                ),
            ],
            runbook="api.drift.md#scoredrift",
        ),
        Timeseries(
            title="Stability index of the features",
            description="The five features that moved most, over the last hour.",
            queries=[
                Query(
                    expr=f'topk(5, churn:feature_psi:1h{{feature!="score", {CHOSEN}}})',
                    legend="{{feature}} of {{model}}",
                )
            ],
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
            Row(title="Versions", panels=[*_versions(), *_changes()]),
            Row(title="Predictions", panels=[*_predictions(), *_scores()]),
            Row(title="Drift", panels=_drift()),
        ],
        variables=[
            MODELS,
            Variable(name="version", metric=f"churn_predictions_total{{{MODEL}}}", label="model_version"),
        ],
        since="now-24h",
    )
