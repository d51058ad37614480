"""The firewall of the load balancer: AWS's managed groups of rules, and a rate limit for each client address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_aws import wafv2

from infra.aws.log_group import log_group
from infra.aws.scope import Scope
from infra.kit.options import child
from infra.naming import PROJECT

GROUPS: Final = (
    "AWSManagedRulesAmazonIpReputationList",
    "AWSManagedRulesCommonRuleSet",
    "AWSManagedRulesKnownBadInputsRuleSet",
    "AWSManagedRulesSQLiRuleSet",
)
COUNTED: Final = {"AWSManagedRulesCommonRuleSet": ("SizeRestrictions_BODY",)}
"""Rules that only count matches: batches and model files exceed their limit of 8 KiB, and NGINX limits bodies
anyway."""
HIDDEN: Final = ("authorization", "cookie", "x-api-key")
"""Headers that no log may contain."""


@dataclass(frozen=True, kw_only=True)
class WafArgs:
    """The stack, and the key for logs."""

    scope: Scope
    log_key: pulumi.Input[str]


class Waf(pulumi.ComponentResource):
    """The web ACL and its log."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: WafArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Waf", name, {}, opts)
        scope = args.scope
        acl = wafv2.WebAcl(
            f"{name}-acl",
            scope="REGIONAL",
            default_action=wafv2.WebAclDefaultActionArgs(allow=wafv2.WebAclDefaultActionAllowArgs()),
            rules=[
                *(_managed(priority, group) for priority, group in enumerate(GROUPS, start=1)),
                _rate(len(GROUPS) + 1, scope.settings.edge.waf_requests_per_5_minutes),
            ],
            visibility_config=wafv2.WebAclVisibilityConfigArgs(**_visible("acl")),
            opts=child(self),
        )
        # WAF writes only to log groups whose name begins like this.
        days = scope.settings.network.log_days
        logs = log_group(self, f"{name}-logs", path=f"aws-waf-logs-{scope.prefix}", days=days, key=args.log_key)
        wafv2.WebAclLoggingConfiguration(
            f"{name}-logging",
            resource_arn=acl.arn,
            log_destination_configs=[logs.arn],
            redacted_fields=[
                wafv2.WebAclLoggingConfigurationRedactedFieldArgs(
                    single_header=wafv2.WebAclLoggingConfigurationRedactedFieldSingleHeaderArgs(name=header)
                )
                for header in HIDDEN
            ],
            opts=child(self),
        )
        self.arn = acl.arn
        self.register_outputs({"arn": self.arn})


def _visible(name: str) -> dict[str, Any]:
    """Return what is visible of a rule: counters, and samples of refused requests."""
    return {"cloudwatch_metrics_enabled": True, "metric_name": f"{PROJECT}-{name}", "sampled_requests_enabled": True}


def _managed(priority: int, group: str) -> wafv2.WebAclRuleArgs:
    count = wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideActionToUseArgs(
        count=wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideActionToUseCountArgs()
    )
    overrides = [
        wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideArgs(name=rule, action_to_use=count)
        for rule in COUNTED.get(group, ())
    ]
    none = wafv2.WebAclRuleOverrideActionNoneArgs()  # type: ignore[no-untyped-call]  # the SDK gives it no types
    return wafv2.WebAclRuleArgs(
        name=group,
        priority=priority,
        override_action=wafv2.WebAclRuleOverrideActionArgs(none=none),
        statement=wafv2.WebAclRuleStatementArgs(
            managed_rule_group_statement=wafv2.WebAclRuleStatementManagedRuleGroupStatementArgs(
                vendor_name="AWS", name=group, rule_action_overrides=overrides or None
            )
        ),
        visibility_config=wafv2.WebAclRuleVisibilityConfigArgs(**_visible(group)),
    )


def _rate(priority: int, limit: int) -> wafv2.WebAclRuleArgs:
    return wafv2.WebAclRuleArgs(
        name="rate",
        priority=priority,
        action=wafv2.WebAclRuleActionArgs(block=wafv2.WebAclRuleActionBlockArgs()),
        statement=wafv2.WebAclRuleStatementArgs(
            rate_based_statement=wafv2.WebAclRuleStatementRateBasedStatementArgs(
                aggregate_key_type="IP", limit=limit, evaluation_window_sec=300
            )
        ),
        visibility_config=wafv2.WebAclRuleVisibilityConfigArgs(**_visible("rate")),
    )
