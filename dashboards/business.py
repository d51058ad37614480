"""Business KPIs: how many customers are at risk of churning, and what they pay."""

from __future__ import annotations

from dashboards.panels import MODELS, Dashboard, Panel, Query, Row, Stat, Timeseries

AT_RISK = "churn_monthly_revenue_at_risk_total"
SCORED = "churn_monthly_revenue_scored_total"
MODEL = 'model=~"$model"'


def _in_range(metric: str) -> str:
    return f"sum(increase({metric}{{{MODEL}}}[$__range]))"


def _hourly(metric: str, by: str = "") -> str:
    grouped = f"sum by ({by})" if by else "sum"
    return f"{grouped} (increase({metric}{{{MODEL}}}[1h]))"


def _figures() -> list[Panel]:
    return [
        Stat(
            title="Customers scored",
            description="Predictions in the range shown; a customer scored twice counts twice.",
            queries=[Query(expr=_in_range("churn_predictions_total"))],
        ),
        Stat(
            title="High risk",
            description="Of these, scored into the high band.",
            queries=[Query(expr=_in_range("churn_high_risk_customers_total"))],
        ),
        Stat(
            title="Share at high risk",
            description="High-risk customers among all scored.",
            queries=[
                Query(expr=f"{_in_range('churn_high_risk_customers_total')} / {_in_range('churn_predictions_total')}")
            ],
            unit="percentunit",
        ),
        Stat(
            title="Revenue at risk",
            description="Monthly charges of the customers scored into the high band.",
            queries=[Query(expr=_in_range(AT_RISK))],
            unit="currencyUSD",
            width=6,
        ),
        Stat(
            title="Share of revenue at risk",
            description="Of the monthly charges of all customers scored.",
            queries=[Query(expr=f"{_in_range(AT_RISK)} / {_in_range(SCORED)}")],
            unit="percentunit",
            width=6,
        ),
    ]


def _costs() -> list[Panel]:
    return [
        Stat(
            title="Cost of 1,000 predictions",
            description="What serving asked for in the last day, at the prices of infra/prices.json; needs a cluster.",
            queries=[Query(expr="churn:cost:dollars_per_thousand_predictions")],
            unit="currencyUSD",
            thresholds=[(5, "yellow")],
            width=6,
            runbook="kube-state-metrics.md#costperpredictionhigh",
        ),
        Stat(
            title="Cost of a month",
            description="What all pods ask for now, for 730 hours, next to their part of the budget; needs a cluster.",
            queries=[
                Query(expr="churn:cost:dollars_per_month", legend="pods"),
                Query(expr="churn:budget:dollars_per_month", legend="budget"),
            ],
            unit="currencyUSD",
            width=6,
            runbook="kube-state-metrics.md#budgetexceeded",
        ),
        Timeseries(
            title="Cost by namespace",
            description="Dollars an hour for what running pods ask for; needs a cluster.",
            queries=[Query(expr="churn:cost:dollars_per_hour", legend="{{namespace}}")],
            unit="currencyUSD",
            stacked=True,
            width=12,
        ),
    ]


def _trends() -> list[Panel]:
    return [
        Timeseries(
            title="Customers by risk band",
            description="Scored in the hour before.",
            queries=[Query(expr=_hourly("churn_predictions_by_band_total", "band"), legend="{{band}}")],
            stacked=True,
        ),
        Timeseries(
            title="Decisions",
            description="Customers predicted to stay and to churn in the hour before.",
            queries=[Query(expr=_hourly("churn_predictions_total", "decision"), legend="{{decision}}")],
            stacked=True,
        ),
        Timeseries(
            title="Revenue",
            description="Monthly charges of the customers scored in the hour before.",
            queries=[
                Query(expr=_hourly(SCORED), legend="all customers scored"),
                Query(expr=_hourly(AT_RISK), legend="at high risk"),
            ],
            unit="currencyUSD",
        ),
    ]


def page() -> Dashboard:
    """Return the whole page."""
    return Dashboard(
        uid="churn-business",
        title="Business KPIs",
        description="Customers and revenue at risk, as predicted.",
        rows=[
            Row(title="In the range shown", panels=_figures()),
            Row(title="By hour", panels=_trends()),
            Row(title="Cost", panels=_costs()),
        ],
        variables=[MODELS],
        since="now-7d",
    )
