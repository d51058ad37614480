"""CloudWatch's alarms and the topic to which they are sent; only alarms of the stack may publish there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import cloudwatch, lambda_, sns

from infra.aws.alarm_table import FIVE_MINUTES, Alarm
from infra.aws.scope import Scope
from infra.kit.iam import Statement, document
from infra.kit.options import child

CLOUDWATCH: Final = "cloudwatch.amazonaws.com"


def of_the_stack(scope: Scope) -> Mapping[str, Mapping[str, str]]:
    """Return the conditions that only CloudWatch's alarms of one stack meet.

    A policy of a topic and that of its key may have both (SNS' developer guide, "Key management"); the key's policy
    could not if EventBridge published to the topic, which is why it calls the function instead.
    """
    return {
        "StringEquals": {"aws:SourceAccount": scope.account.id},
        "ArnLike": {"aws:SourceArn": scope.arn("cloudwatch", f"alarm:{scope.prefix}-*")},
    }


def key_use(scope: Scope) -> Statement:
    """Return the statement of a key's policy without which an encrypted topic drops every alarm in silence."""
    return Statement(
        sid="Alarms",
        actions=["kms:Decrypt", "kms:GenerateDataKey"],
        resources=["*"],
        principals={"Service": [CLOUDWATCH]},
        conditions=of_the_stack(scope),
    )


@dataclass(frozen=True, kw_only=True)
class TopicArgs:
    """The stack, the topic's key, and the function that tells people."""

    scope: Scope
    key: pulumi.Input[str]
    function: lambda_.Function


class Topic(pulumi.ComponentResource):
    """Topic, its policy, and the subscription of the function."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: TopicArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Topic", name, {}, opts)
        scope = args.scope
        topic = sns.Topic(f"{name}-topic", name=f"{scope.prefix}-alarms", kms_master_key_id=args.key, opts=child(self))
        publish = Statement(
            sid="Alarms",
            actions=["sns:Publish"],
            resources=[topic.arn],
            principals={"Service": [CLOUDWATCH]},
            conditions=of_the_stack(scope),
        )
        sns.TopicPolicy(f"{name}-policy", arn=topic.arn, policy=document([publish]), opts=child(self))
        permission = lambda_.Permission(
            f"{name}-permission",
            action="lambda:InvokeFunction",
            function=args.function.name,
            principal="sns.amazonaws.com",
            source_arn=topic.arn,
            opts=child(self),
        )
        sns.TopicSubscription(
            f"{name}-subscription",
            topic=topic.arn,
            protocol="lambda",
            endpoint=args.function.arn,
            opts=child(self, after=[permission]),
        )
        self.arn = topic.arn
        self.register_outputs({"arn": self.arn})


@dataclass(frozen=True, kw_only=True)
class AlarmsArgs:
    """The stack, its topic, and the alarms."""

    scope: Scope
    topic: pulumi.Input[str]
    alarms: Sequence[Alarm]


class Alarms(pulumi.ComponentResource):
    """One resource for each alarm."""

    def __init__(self, name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Alarms", name, {}, opts)
        for alarm in args.alarms:
            self._alarm(name, args, alarm)
        self.register_outputs({})

    def _alarm(self, name: str, args: AlarmsArgs, alarm: Alarm) -> None:
        queries = None
        if alarm.query is not None:
            queries = [
                cloudwatch.MetricAlarmMetricQueryArgs(
                    id="worst", expression=alarm.query, period=FIVE_MINUTES, return_data=True
                )
            ]
        single = queries is None
        cloudwatch.MetricAlarm(
            f"{name}-{alarm.name}",
            name=f"{args.scope.prefix}-{alarm.name}",
            alarm_description=alarm.description,
            comparison_operator="GreaterThanThreshold" if alarm.above else "LessThanThreshold",
            threshold=alarm.threshold,
            evaluation_periods=alarm.periods,
            datapoints_to_alarm=alarm.periods,
            treat_missing_data=alarm.missing,
            metric_queries=queries,
            namespace=alarm.namespace if single else None,
            metric_name=alarm.metric if single else None,
            statistic=alarm.statistic if single else None,
            period=FIVE_MINUTES if single else None,
            dimensions=dict(alarm.dimensions) if single else None,
            alarm_actions=[args.topic],
            ok_actions=[args.topic],
            opts=child(self),
        )
