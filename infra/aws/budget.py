"""The stack's monthly budget: people hear when half of it, most of it or all of it is spent, or is forecast to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import budgets

from infra.aws.scope import Scope
from infra.kit.options import child
from infra.naming import PROJECT

SPENT_PERCENT: Final = (50, 80, 100)
EXPECTED_PERCENT: Final = 100


@dataclass(frozen=True, kw_only=True)
class BudgetArgs:
    """The stack and its account."""

    scope: Scope


class Budget(pulumi.ComponentResource):
    """One budget for everything with the stack's tag."""

    def __init__(self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Budget", name, {}, opts)
        settings = args.scope.settings.budget
        thresholds = [*(("ACTUAL", percent) for percent in SPENT_PERCENT), ("FORECASTED", EXPECTED_PERCENT)]
        if not settings.emails:
            pulumi.log.warn(f"{PROJECT}:budget.emails is empty: nobody will hear of the budget", self)
        budgets.Budget(
            f"{name}-monthly",
            name=f"{args.scope.prefix}-monthly",
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(settings.monthly_usd),
            limit_unit="USD",
            # Somebody has to activate the tag for cost allocation once, in the account that pays.
            cost_filters=[
                budgets.BudgetCostFilterArgs(
                    name="TagKeyValue", values=[f"user:{PROJECT}:stack${args.scope.settings.stack}"]
                )
            ],
            notifications=[
                budgets.BudgetNotificationArgs(
                    comparison_operator="GREATER_THAN",
                    notification_type=kind,
                    threshold=percent,
                    threshold_type="PERCENTAGE",
                    subscriber_email_addresses=settings.emails,
                )
                for kind, percent in thresholds
            ]
            if settings.emails
            else None,
            opts=child(self),
        )
        self.register_outputs({})
